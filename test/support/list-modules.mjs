// Preloaded by `--import`: names on stderr, as JSON, the packages from npm that a program has loaded when it ends.
import { registerHooks } from 'node:module';

const packages = new Set();
registerHooks({
  load(url, context, next) {
    const name = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1];
    if (name !== undefined) packages.add(name);
    return next(url, context);
  },
});
process.on('exit', () => process.stderr.write(`\npackages:${JSON.stringify([...packages].sort())}\n`));
