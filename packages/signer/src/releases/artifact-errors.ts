/** Error codes for component folders and for the artifacts that packing makes of them. */
import { errorsOf } from '@countersign/protocol';

export const artifactErrorTable = {
  PACK_FOLDER: {
    meaning: 'A component folder lacks something, or has something that no release carries.',
    hint: 'it holds component.json, base/, capabilities/<id>/, notes.<language>.md, terms/<version>.<language>.md and sbom.cdx.json, nothing else',
  },
  PACK_TEXT: {
    meaning: 'Notes or terms are not plain UTF-8 text, too long, or hold hidden characters.',
    hint: 'save the text as UTF-8 without byte order mark, with line feeds only, at most 64 KiB',
  },
  PACK_SBOM: {
    meaning: 'The software bill of materials that came with the component is not CycloneDX JSON.',
    hint: 'write CycloneDX 1.4 or later as JSON, or leave sbom.cdx.json out: packing then lists the files',
  },
  ARTIFACT_NAME: {
    meaning: 'A release is named in a way that is not understood.',
    hint: 'write NAME@VERSION, or NAME@VERSION:PLATFORM where there are several platforms',
  },
  ARTIFACT_MISSING: {
    meaning: 'The release has not been packed in this workspace.',
    hint: 'pack its component folder with countersign pack FOLDER',
  },
  ARTIFACT_DAMAGED: {
    meaning: 'A packed file is missing or differs from what the statement says of it.',
    hint: 'pack the same component folder again: it gives the same bytes and keeps the signatures',
  },
  ARTIFACT_EXISTS: {
    meaning: 'This version was packed before, with other contents.',
    hint: 'raise the version in component.json, or pack with --replace, since the old one is not signed yet',
  },
  ARTIFACT_SIGNED: {
    meaning: 'This version was packed and signed before, with other contents. What was signed is never replaced.',
    hint: 'raise the version in component.json',
  },
  ARTIFACT_BUSY: {
    meaning: 'Another command is writing artifacts of this workspace.',
    hint: 'wait until it is done, then try again',
  },
} as const;

export const artifactError = errorsOf(artifactErrorTable);
