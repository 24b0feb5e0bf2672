// What is said between the supervisor and the keeper of its services (service-keeper-main.ts): orders down, reports up. Plain
// JSON over Node's own channel between parent and child. The change's way.

export type ServiceStart = {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly directory: string | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  /** It lives on while the supervisor is silent (stopped, suspended), and dies with it all the same. By default it does not. */
  readonly outlivesSilence?: boolean;
};

/** SIGTERM and SIGKILL are for the whole group, the others for the service's own process. */
export type ServiceSignal = "SIGTERM" | "SIGKILL" | "SIGHUP" | "SIGUSR1" | "SIGUSR2";

/** `run` is the number of one start of one service; no number is used twice. */
export type KeeperOrder =
  | { readonly kind: "start"; readonly run: number; readonly start: ServiceStart }
  | { readonly kind: "signal"; readonly run: number; readonly signal: ServiceSignal }
  /** The supervisor is well. The services live for as long as this comes. */
  | { readonly kind: "beat" };

export type KeeperReport =
  | { readonly kind: "ready" }
  | { readonly kind: "started"; readonly run: number; readonly pid: number }
  /** Nothing of its group is left. `error`: it was never started. */
  | {
      readonly kind: "ended";
      readonly run: number;
      readonly code: number | undefined;
      readonly signal: string | undefined;
      readonly error: string | undefined;
    }
  /** No beat came for longer than the lease: all services were killed. */
  | { readonly kind: "leaseOver"; readonly gapMs: number };

export const beatInterval = 500;
/** How long services outlive the last beat. A supervisor that stands still cannot be told that its role is lost. */
export const serviceLease = 5_000;
