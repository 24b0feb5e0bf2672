// What a command has of the world besides its arguments, so that tests can hand it another one. Exit codes are those of
// DESIGN.md.

export type CliIo = {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The last one set is the program's. */
  readonly setExitCode: (code: ExitCode) => void;
};

export const exitCodes = { good: 0, error: 1, degraded: 2, refused: 3 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** The io of the real program. */
export function processIo(): CliIo {
  return {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    environment: process.env,
    setExitCode: (code) => {
      process.exitCode = code;
    },
  };
}
