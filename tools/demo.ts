// `npm start`: the whole thing in front of one's eyes. Two demo servers, a balancer before them, a few requests that show
// who answered, and what to try next. Stays until Ctrl-C, ends what it started and leaves nothing behind, exit 0; exit 1
// when something could not be started, with the reason. DEMO_PORT chooses another port for the balancer,
// DEMO_ONE_PORT and DEMO_TWO_PORT for the servers.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const evenkeel = join(root, "evenkeel");
const startTimeoutMs = 20_000;
const endTimeoutMs = 8_000;

type Part = {
  readonly title: string;
  readonly child: ChildProcess;
  /** What it said on stderr, to be shown when it fails. */
  readonly words: string[];
  readonly ended: Promise<void>;
};

const directory = mkdtempSync(join(tmpdir(), "evenkeel-demo-"));
const socket = join(directory, "admin.sock");
const port = process.env["DEMO_PORT"] ?? "8080";
const ports = { one: process.env["DEMO_ONE_PORT"] ?? "9001", two: process.env["DEMO_TWO_PORT"] ?? "9002" };
const parts: Part[] = [];
let stopping = false;

const stopAsked = new Promise<void>((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      stopping = true;
      resolve();
    });
  }
});
process.on("exit", () => {
  for (const { child } of parts) child.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

function startPart(title: string, args: readonly string[]): Part {
  const env = {
    ...process.env,
    EVENKEEL_SOCKET: socket,
    DEMO_STATE: join(directory, "state"),
    DEMO_PORT: port,
    DEMO_ONE_PORT: ports.one,
    DEMO_TWO_PORT: ports.two,
  };
  // A group of its own: Ctrl-C reaches this program alone, which then ends its parts in order.
  const child = spawn(evenkeel, [...args], { cwd: root, env, stdio: ["ignore", "ignore", "pipe"], detached: true });
  const words: string[] = [];
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    words.push(text);
    if (words.length > 200) words.shift();
  });
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", (error) => {
      words.push(`${error.message}\n`);
      resolve();
    });
  });
  const part = { title, child, words, ended };
  parts.push(part);
  return part;
}

function hasEnded(part: Part): boolean {
  return part.child.pid === undefined || part.child.exitCode !== null || part.child.signalCode !== null;
}

/** The body of the answer, or undefined when there is none yet. */
function request(url: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const outgoing = get(url, { agent: false, timeout: 2_000 }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("error", () => resolve(undefined));
      response.on("end", () => resolve(response.statusCode === 200 ? body.trim() : undefined));
    });
    outgoing.on("timeout", () => outgoing.destroy());
    // Not there yet: whoever asks asks again, up to a deadline.
    outgoing.on("error", () => resolve(undefined));
  });
}

/** Waits until the url answers; throws when the part ends before, or takes too long. */
async function answers(part: Part, url: string): Promise<void> {
  const deadline = Date.now() + startTimeoutMs;
  while (!stopping) {
    if (hasEnded(part)) {
      // Its last words may come after its end.
      await part.ended;
      throw new Error(`${part.title} could not start:\n${part.words.join("")}`);
    }
    if ((await request(url)) !== undefined) return;
    if (Date.now() > deadline) throw new Error(`${part.title} does not answer on ${url}:\n${part.words.join("")}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function end(part: Part): Promise<void> {
  if (hasEnded(part)) return;
  part.child.kill("SIGTERM");
  const timer = setTimeout(() => part.child.kill("SIGKILL"), endTimeoutMs);
  await part.ended;
  clearTimeout(timer);
}

function print(text: string): void {
  process.stdout.write(text);
}

async function demonstrate(): Promise<void> {
  const targets = [
    { name: "one", address: `127.0.0.1:${ports.one}` },
    { name: "two", address: `127.0.0.1:${ports.two}` },
  ];
  const servers = targets.map(({ name, address }) => ({
    part: startPart(`demo server ${name}`, ["echo", "--http", address, "--name", name]),
    url: `http://${address}/ping`,
  }));
  await Promise.all(servers.map(({ part, url }) => answers(part, url)));
  if (stopping) return;
  const balancer = startPart("the balancer", ["run", "-c", "examples/demo.yaml", "--log-level", "warn"]);
  const url = `http://127.0.0.1:${port}/`;
  await answers(balancer, `${url}ping`);
  if (stopping) return;
  print(`\nevenkeel balances on ${url}\n`);
  for (const [index, { name, address }] of targets.entries()) {
    print(`  demo server ${name}: http://${address}/ (pid ${servers[index]?.part.child.pid})\n`);
  }
  print(`\nSix requests:\n`);
  for (let count = 0; count < 6 && !stopping; count++) print(`  GET ${url} answered by ${await request(url)}\n`);
  print(`
Try, in another terminal in ${root}:
  curl ${url}                  who answers? (also /ping /delay/500 /status/404 /bytes/1000)
  ./evenkeel status --socket ${socket}
  kill ${servers[0]?.part.child.pid}                     take demo server one away: requests go on
  ./evenkeel echo --http ${ports.one} --name one     bring it back
  \${EDITOR:-vi} examples/demo.yaml && ./evenkeel reload --socket ${socket}

Ctrl-C ends the balancer and both demo servers.
`);
  await Promise.race([stopAsked, balancer.ended]);
  if (!stopping) throw new Error(`the balancer ended:\n${balancer.words.join("")}`);
}

try {
  await demonstrate();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
// The balancer first, so that it never sees its targets go.
for (const part of parts.toReversed()) await end(part);
if (stopping) print("\nended\n");
process.exit();
