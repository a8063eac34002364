// Builds the user interface from ui/src into ui/dist, where the Go binary embeds it.
//
//   node build.mjs        the site, each text file also as .br and .gz
//   node build.mjs test   bundles and runs ui/src/*.test.ts with node's test runner
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, readdir, rm, writeFile, mkdir, copyFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const src = join(root, "ui/src");
const dist = join(root, "ui/dist");
const shared = { bundle: true, jsx: "automatic", jsxImportSource: "preact", target: "es2022", logLevel: "warning" };

if (process.argv[2] === "test") await runTests();
else await buildSite();

async function buildSite() {
  for (const name of await readdir(dist)) {
    if (name !== ".gitkeep") await rm(join(dist, name), { recursive: true });
  }
  // The chart library is by far the largest part, and only the symbol page needs
  // it: splitting lets the other pages start without it.
  const { metafile } = await build({
    ...shared,
    entryPoints: ["main.tsx", "theme.ts", "styles.css", "icon.svg"].map((f) => join(src, f)),
    outdir: join(dist, "assets"),
    absWorkingDir: root,
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    loader: { ".svg": "copy" },
    format: "esm",
    splitting: true,
    minify: true,
    metafile: true,
  });

  const output = {};
  for (const [file, { entryPoint }] of Object.entries(metafile.outputs)) {
    if (entryPoint) output[basename(entryPoint)] = "/assets/" + basename(file);
  }
  const page = await readFile(join(src, "index.html"), "utf8");
  await writeFile(join(dist, "index.html"), page.replace(/\{\{(.+?)\}\}/g, (_, name) => {
    if (!output[name]) throw new Error(`index.html names ${name}, which the build did not make`);
    return output[name];
  }));
  await copyFile(join(src, "robots.txt"), join(dist, "robots.txt"));
  await writeFile(join(dist, "licenses.txt"), await licenses());

  let total = 0;
  for (const dir of [dist, join(dist, "assets")]) {
    for (const entry of await readdir(dir, { withFileTypes: true })) {
      if (!entry.isFile() || entry.name.startsWith(".") || entry.name === "robots.txt") continue;
      total += await compress(join(dir, entry.name));
    }
  }
  console.log(`built ui/dist: ${(total / 1024).toFixed(1)} KiB over the wire with brotli`);
}

// compress writes the .br and .gz forms and returns the size of the former.
async function compress(file) {
  const body = await readFile(file);
  const br = brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: body.length } });
  await writeFile(file + ".br", br);
  await writeFile(file + ".gz", gzipSync(body, { level: 9 }));
  return br.length;
}

// licenses gathers the terms of every package whose code is in the bundle, as
// those terms ask for.
async function licenses() {
  const { packages } = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8"));
  const parts = [];
  for (const [path, info] of Object.entries(packages)) {
    if (path === "" || info.dev || info.optional || info.devOptional) continue;
    const files = (await readdir(join(root, path))).filter((f) => /^(licen[cs]e|notice)/i.test(f));
    if (!info.license) throw new Error(`${path} states no license`);
    const text = await Promise.all(files.map((f) => readFile(join(root, path, f), "utf8")));
    parts.push([`${path.replace(/^node_modules\//, "")} ${info.version}, ${info.license}`, ...text].join("\n\n"));
  }
  return parts.join("\n" + "=".repeat(80) + "\n\n");
}

async function runTests() {
  const out = await mkdtemp(join(tmpdir(), "alphapulse-ui-test-"));
  try {
    await mkdir(out, { recursive: true });
    const tests = (await readdir(src)).filter((f) => f.endsWith(".test.ts"));
    await build({ ...shared, entryPoints: tests.map((f) => join(src, f)), outdir: out, platform: "node", format: "esm", outExtension: { ".js": ".mjs" } });
    const { status } = spawnSync(process.execPath, ["--test", ...tests.map((f) => join(out, f.replace(/\.ts$/, ".mjs")))], { stdio: "inherit" });
    process.exitCode = status ?? 1;
  } finally {
    await rm(out, { recursive: true });
  }
}
