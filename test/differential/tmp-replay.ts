import { readdirSync, readFileSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { coreClient, tufJsClient, differences } from './clients.ts';
import { now } from './scenario.ts';
const dir = process.argv[2]!;
const root = readFileSync(join(dir,'root.json'));
for (const mode of ['restarts','goes on'] as const) {
const core = coreClient(root, mode), t = tufJsClient(root, mkdtempSync('/tmp/countersign-replay-'));
for (const e of readdirSync(dir).filter(x=>/^\d+$/.test(x)).sort()) {
  const files = new Map(readdirSync(join(dir,e)).map(n=>[decodeURIComponent(n), readFileSync(join(dir,e,n))] as const));
  console.log(mode, e, [...files.keys()].join(' '));
  const a = await core.run(files, now, ['a.txt','readme']), b = await t.run(files, now, ['a.txt','readme']);
  const v=(x?:string)=>x&&JSON.parse(x).signed.version;
  console.log('core',a.refused,Object.entries(a.kept).map(([k,x])=>k+v(x)).join(),'tuf',b.refused,Object.entries(b.kept).map(([k,x])=>k+v(x)).join());
  console.log(differences(a,b));
}}
