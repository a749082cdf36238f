// Builds the page into built/, or with `test` its tests into built-tests/. The bytes depend on the sources and the pinned
// packages only; built/sources.sha256 says which sources they were made of (types do not change them).
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const files = (folder) =>
  readdirSync(folder)
    .sort()
    .map((name) => join(folder, name))
    .flatMap((path) => (statSync(path).isDirectory() ? files(path) : [path]));

const shared = { bundle: true, format: "esm", target: "es2022", charset: "utf8", legalComments: "none", logLevel: "warning" };

if (process.argv[2] === "test") {
  rmSync("built-tests", { recursive: true, force: true });
  await build({
    ...shared,
    entryPoints: files("src").filter((path) => path.endsWith(".test.ts")),
    outdir: "built-tests",
    outExtension: { ".js": ".mjs" },
    platform: "node",
  });
} else {
  mkdirSync("built", { recursive: true });
  await build({
    ...shared,
    entryPoints: { main: "src/main.tsx" },
    outdir: "built",
    minify: true,
    jsx: "automatic",
    jsxImportSource: "preact",
  });
  await build({ entryPoints: ["src/style.css"], outdir: "built", minify: true, logLevel: "warning" });
  copyFileSync("src/index.html", "built/index.html");
  const sources = [...files("src"), "build.mjs", "package-lock.json", "tsconfig.json"].filter((path) => !path.endsWith(".test.ts") && path !== "src/wire.ts").sort();
  const digest = createHash("sha256");
  for (const path of sources) digest.update(`${path}\n`).update(readFileSync(path)).update("\n");
  writeFileSync("built/sources.sha256", `${digest.digest("hex")}\n`);
}
