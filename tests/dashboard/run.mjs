// Runs the test files, and sums up as cargo does.
import { readdirSync } from "node:fs";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const wanted = process.argv.slice(2);
if (wanted[0] === "pictures") {
  await import("./pictures.mjs");
} else {
  const fits = name => name.endsWith(".test.mjs") && (wanted.length === 0 || wanted.some(word => name.includes(word)));
  const files = readdirSync(".").filter(fits).sort().map(name => new URL(name, import.meta.url).pathname);
  let passed = 0, failed = 0, skipped = 0;
  // One after the other: each has a program and a browser of its own, on two cores.
  const tests = run({ files, concurrency: 1, timeout: 300_000 });
  const isFile = event => files.includes(event.name) || event.details?.type === "suite";
  tests.on("test:pass", event => { if (!isFile(event)) { if (event.skip !== undefined) skipped++; else passed++; } });
  tests.on("test:fail", event => { failed++; });
  tests.compose(spec).pipe(process.stdout);
  tests.on("end", () => {
    // After what the reporter still has to say.
    setImmediate(() => {
      const word = failed === 0 && passed > 0 ? "ok" : "FAILED";
      process.stdout.write(`\ntest result: ${word}. ${passed} passed; ${failed} failed; ${skipped} ignored\n`);
      process.exitCode = word === "ok" ? 0 : 1;
    });
  });
}
