// Downloads the packages of package.json (their own files only, not their dependencies), checks each
// against its recorded hash, and unpacks them: node fetch.mjs <folder>
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const folder = resolve(process.argv[2] ?? "packages");
const manifest = JSON.parse(readFileSync(new URL("package.json", import.meta.url)));
mkdirSync(folder, { recursive: true });

for (const [name, version] of Object.entries(manifest.dependencies)) {
  const target = join(folder, name);
  const stamp = `${target}.version`;
  if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, "utf8") === version) continue;

  console.log(`fetching ${name}@${version}`);
  const npm = ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder, `${name}@${version}`];
  const archive = join(folder, execFileSync("npm", npm, { encoding: "utf8" }).trim().split("\n").at(-1));
  const hash = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
  if (hash !== manifest.integrity[name]) throw new Error(`${name}@${version} has hash ${hash}`);

  const unpacked = join(folder, ".unpacking");
  rmSync(unpacked, { recursive: true, force: true });
  mkdirSync(unpacked);
  // Archives hold one top folder, which is not always named "package".
  execFileSync("tar", ["xzf", archive, "-C", unpacked, "--strip-components=1"]);
  rmSync(target, { recursive: true, force: true });
  mkdirSync(dirname(target), { recursive: true });
  renameSync(unpacked, target);
  writeFileSync(stamp, version);
  rmSync(archive);
}
