import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testRepositoryStore } from '../repository-store.contract.ts';
import { DirectoryStore } from './directory.ts';

testRepositoryStore('directory store', () =>
  Promise.resolve(new DirectoryStore(mkdtempSync(join(tmpdir(), 'countersign-repository-')))),
);
