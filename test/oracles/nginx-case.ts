// The notation of one recorded case, shared by the recorder, the file it writes and the replay. A case is text, so that
// the file shows at a glance what nginx was asked and what it picked:
//   servers  nginx's parameters of each `server`, in order, divided by "; "; `stopped` (ours) means nobody listens
//   steps    `get` a request, `get*12` twelve of them, `10.1.2.3` a request of that client, `+` a request held open, `-5`
//            the answer to held request 5, `start1` and `stop1` the listening of a server, `wait3200` milliseconds
//   picks    one word for each request: the indexes of the servers tried (`2` or `0,2`), `x` where nobody took it

export type Policy = "roundRobin" | "leastConnections" | "ipHash";

export type Case = {
  readonly name: string;
  readonly policy: Policy;
  readonly servers: string;
  readonly steps: string;
};

export type RecordedCase = Case & { readonly picks: string };

export type Recording = { readonly program: string; readonly cases: readonly RecordedCase[] };

export type Step =
  | { readonly kind: "get"; readonly client: string }
  | { readonly kind: "open" }
  | { readonly kind: "close"; readonly request: number }
  | { readonly kind: "start" | "stop"; readonly server: number }
  | { readonly kind: "wait"; readonly ms: number };

export type Server = {
  /** What nginx is told: everything but `stopped`. */
  readonly parameters: string;
  readonly stopped: boolean;
  readonly down: boolean;
  readonly backup: boolean;
  readonly weight: number;
  readonly maxFails: number;
  readonly failTimeoutMs: number;
  /** 0: no limit. */
  readonly connectionsMax: number;
};

/** Whom a request comes from when the case doesn't say. */
export const clientDefault = "127.0.0.1";

export function parseServers(text: string): Server[] {
  return text.split("; ").map((server) => {
    const words = server.split(" ").filter((word) => word !== "");
    const value = (name: string, otherwise: string): string =>
      words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1) ?? otherwise;
    return {
      parameters: words.filter((word) => word !== "stopped").join(" "),
      stopped: words.includes("stopped"),
      down: words.includes("down"),
      backup: words.includes("backup"),
      weight: Number(value("weight", "1")),
      maxFails: Number(value("max_fails", "1")),
      failTimeoutMs: parseTime(value("fail_timeout", "10s")),
      connectionsMax: Number(value("max_conns", "0")),
    };
  });
}

function parseTime(text: string): number {
  const [, digits, unit] = /^(\d+)(s|h)$/.exec(text) ?? [];
  if (digits === undefined) throw new Error(`a case has the time ${text}; s and h are known`);
  return Number(digits) * (unit === "h" ? 3_600_000 : 1_000);
}

export function parseSteps(text: string): Step[] {
  return text.split(" ").flatMap(parseStep);
}

function parseStep(word: string): Step[] {
  const [, verb, digits] = /^(get\*|-|start|stop|wait)(\d+)$/.exec(word) ?? [];
  const number = Number(digits);
  switch (verb) {
    case "get*":
      return Array.from({ length: number }, () => ({ kind: "get", client: clientDefault }));
    case "-":
      return [{ kind: "close", request: number }];
    case "start":
    case "stop":
      return [{ kind: verb, server: number }];
    case "wait":
      return [{ kind: "wait", ms: number }];
    default:
      if (word === "+") return [{ kind: "open" }];
      return [{ kind: "get", client: word === "get" ? clientDefault : word }];
  }
}
