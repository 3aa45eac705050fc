#!/usr/bin/env node
// Runs the compiled program of the platform's package, with this process's arguments, streams and exit code.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { constants } from "node:os";

const platform = `${process.platform}-${process.arch}`;
let program;
try {
  program = createRequire(import.meta.url).resolve(`outcrop-gateway-${platform}/outcrop`);
} catch {
  console.error(
    `outcrop: the package outcrop-gateway-${platform} is not installed. Either there is none for this platform: ` +
      "build Outcrop from its source; or optional dependencies were left out: install again without --omit=optional.",
  );
  process.exit(1);
}

const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
child.on("error", (error) => {
  console.error(`outcrop: ${program} does not start: ${error.message}`);
  process.exitCode = 1;
});
// Ends as the program ended; a signal is told as shells tell it.
child.on("exit", (code, signal) => {
  process.exitCode = code ?? 128 + constants.signals[signal];
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    // A terminal sends Ctrl-C to both, and Outcrop takes a second one as "at once".
    if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
  });
}
