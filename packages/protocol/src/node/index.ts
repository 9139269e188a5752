/** The Node entry: what the programs share and is not pure. */
export * from './command-line.ts';
export * from './download.ts';
export * from './exclusive-lock.ts';
export * from './durable-file.ts';
export * from './node-errors.ts';
export { confirmTargets, secondOpinion, type OpinionInput } from './second-verifier.ts';
export * from './terminal.ts';
export { packArchive, type PackOptions } from './archive/pack.ts';
export { type ExpectedArchive } from './archive/archive-share.ts';
export { type UnpackedFile } from './archive/tree-writer.ts';
export { unpackArchive, type UnpackOptions } from './archive/unpack.ts';
export { verifyTree } from './archive/verify-tree.ts';
export * from './http-response.ts';
export * from './memory-store.ts';
export * from './metadata-client.ts';
export { restoreRoot } from './metadata-restore.ts';
export * from './metadata-source.ts';
export * from './metadata-store.ts';
