/** Bundles the page into visavis_token/page/; with --test: bundles the tests elsewhere and runs them. */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const OUT = process.env.VISAVIS_PAGE_OUT || join(HERE, "..", "visavis_token", "page");

async function bundle(entryPoints, outdir, more = {}) {
  const settings = { bundle: true, format: "esm", target: "es2022", entryNames: "[name]" };
  await build({ entryPoints, outdir, logLevel: "warning", ...settings, ...more });
}

async function page() {
  const made = mkdtempSync(join(tmpdir(), "visavis-page-"));
  const shrunk = { minify: true, legalComments: "none" };
  await bundle([join(HERE, "src", "main.ts"), join(HERE, "style.css")], made, shrunk);
  await bundle([join(HERE, "src", "portrait.ts")], made);
  const { portraitSvg } = await import(pathToFileURL(join(made, "portrait.js")));
  writeFileSync(join(made, "portrait.svg"), portraitSvg());
  rmSync(OUT, { recursive: true, force: true });
  mkdirSync(join(OUT, "assets"), { recursive: true });
  let html = readFileSync(join(HERE, "index.html"), "utf8");
  for (const name of ["main.js", "style.css", "portrait.svg"]) {
    html = html.replaceAll(`assets/${name}`, put(name, readFileSync(join(made, name))));
  }
  writeFileSync(join(OUT, "index.html"), html);
  rmSync(made, { recursive: true });
}

/** The name carries the content's hash, so that it can be cached for ever. */
function put(name, content) {
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 10);
  const [stem, ending] = name.split(".");
  const path = `assets/${stem}-${hash}.${ending}`;
  writeFileSync(join(OUT, path), content);
  return path;
}

async function tests() {
  const made = mkdtempSync(join(tmpdir(), "visavis-page-tests-"));
  const names = readdirSync(join(HERE, "test")).filter((name) => name.endsWith(".test.ts"));
  await bundle(names.map((name) => join(HERE, "test", name)), made, {
    platform: "node", outExtension: { ".js": ".mjs" }, sourcemap: "inline",
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire("/");' },
  });
  const files = names.map((name) => join(made, name.replace(/\.ts$/, ".mjs")));
  const { status } = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...files], { stdio: "inherit" });
  rmSync(made, { recursive: true });
  process.exitCode = status ?? 1;
}

await (process.argv.includes("--test") ? tests() : page());
