// A program of its own, run on the clients' machine before anything is measured: does this balancer carry both protocols, do
// answers come from the address that was called, and does every target get its exact share of connections and of flows?
// Waits for a balancer that has just been started. Prints one line; exit 0 also when something is wrong.

import { createSocket } from "node:dgram";
import { get } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { datagramBytes } from "./workloads.ts";

const READY_DEADLINE_MS = 15_000;
const ANSWER_DEADLINE_MS = 1_000;
/** Connections and flows a target. */
const EACH = 8;

export type CheckReport = { readonly problems: readonly string[] };

/** The body of the answer; undefined where there is none. */
function whoAnswers(url: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: ANSWER_DEADLINE_MS }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("error", () => resolve(undefined));
      response.on("end", () => resolve(body));
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(undefined));
  });
}

/** The number of the target that echoed; a sentence when something is wrong. */
function whoEchoes(host: string, port: number): Promise<number | string> {
  const sent = Buffer.alloc(datagramBytes, "e");
  const socket = createSocket("udp4");
  return new Promise((resolve) => {
    const end = (result: number | string): void => {
      clearTimeout(timer);
      socket.close();
      resolve(result);
    };
    const timer = setTimeout(() => end("no answer to a datagram"), ANSWER_DEADLINE_MS);
    socket.on("error", (cause) => end(cause.message));
    socket.on("message", (answer, from) => {
      if (from.address !== host || from.port !== port) end(`answered by ${from.address}:${from.port}`);
      else if (answer.length !== sent.length || !answer.subarray(12).equals(sent.subarray(12))) end("another payload");
      else end(answer[8] ?? -1);
    });
    socket.send(sent, port, host);
  });
}

function judgeShares(what: string, answers: readonly (string | number)[], targets: number): string[] {
  const shares = new Map<string | number, number>();
  for (const answer of answers) shares.set(answer, (shares.get(answer) ?? 0) + 1);
  const exact = shares.size === targets && [...shares.values()].every((share) => share === EACH);
  if (exact) return [];
  const told = [...shares].map(([target, share]) => `${target} ${share}`).join(", ");
  return [`${what}: ${targets} targets should get ${EACH} each, and got: ${told}`];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      host: { type: "string", default: "" },
      targets: { type: "string", default: "1" },
      url: { type: "string", default: "" },
      udp: { type: "string", multiple: true, default: [] },
    },
  });
  const problems: string[] = [];
  const deadline = performance.now() + READY_DEADLINE_MS;
  while ((await whoAnswers(values.url)) === undefined) {
    if (performance.now() > deadline) {
      print({ problems: [`no answer from ${values.url} in ${READY_DEADLINE_MS / 1000} s`] });
      return;
    }
    await delay(50);
  }
  const targets = Number(values.targets);
  const answers: string[] = [];
  // One after the other: round robin that skips nobody.
  for (let index = 0; index < EACH * targets; index++) answers.push((await whoAnswers(values.url)) ?? "no answer");
  problems.push(...judgeShares("TCP connections", answers, targets));
  for (const port of values.udp) {
    const echoes: (string | number)[] = [];
    for (let index = 0; index < EACH * targets; index++) echoes.push(await whoEchoes(values.host, Number(port)));
    problems.push(...judgeShares(`UDP flows of port ${port}`, echoes, targets));
  }
  print({ problems });
}

function print(report: CheckReport): void {
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

await main();
