/**
 * Reads the shipped package, the start of all trust: root 1 and version 1 of both authority chains. The vendor ships it with the
 * device and gives it to the server. Nothing else is ever trusted on first use.
 */
import { readIfPresent } from './durable-file.ts';

export interface ShippedPackage {
  readonly root: Buffer;
  readonly codesign: Buffer;
  readonly devices: Buffer;
}

/** The names of its files. */
export const shippedFiles = { root: 'root.json', codesign: 'codesign.jsonl', devices: 'devices.jsonl' } as const;
export type ShippedFile = keyof typeof shippedFiles;
const maximumBytes = 8 << 20;

/** One file of a package; undefined where it is absent. @throws FILE_READ */
export const readShippedFile = (file: string): Buffer | undefined => readIfPresent(file, maximumBytes);
