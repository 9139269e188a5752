/**
 * The release statement: an in-toto Statement v1 whose subjects are exactly a release's published files (archives, SBOM and
 * texts, not the bundles) and whose predicate carries the manifest. Every bundle of a release signs the same bytes; "release"
 * elsewhere means the sha256 of those bytes. The rules beyond the schema: the subjects are exactly the published files of that
 * release, so nothing unsigned can be delivered and nothing signed can be left out. The release texts are those whose digests
 * were signed.
 */
import Type, { type Static } from 'typebox';
import { format } from '../schema.ts';
import { closed, Sha256, MapOf, isSafeText, sha256 } from '../text.ts';
import { Manifest, checkManifest } from './manifest.ts';
import { releaseError } from './release-errors.ts';

export const statementType = 'https://in-toto.io/Statement/v1';
export const predicateType = 'https://countersign.dev/attestations/component-release/v1';
export const statementPayloadType = 'application/vnd.in-toto+json';

const Size = Type.Integer({ minimum: 0, maximum: 2 ** 40 });
const Language = Type.String({ pattern: '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$' });

export const Subject = Type.Object(
  {
    /** The TUF target path. */
    name: Type.String({ minLength: 1, maxLength: 400, pattern: '^[A-Za-z0-9._/-]+$' }),
    digest: Type.Object({ sha256: Sha256 }, closed),
    annotations: Type.Object(
      {
        /** Bytes of the published file. */
        length: Size,
        /** Archives only: the sum of their files' bytes, and the number of files. */
        unpacked: Type.Optional(Size),
        files: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000 })),
      },
      closed,
    ),
  },
  closed,
);
export type Subject = Static<typeof Subject>;

export const Statement = Type.Object(
  {
    _type: Type.Literal(statementType),
    /** Sorted by name. */
    subject: Type.Array(Subject, { minItems: 2, maxItems: 70 }),
    predicateType: Type.Literal(predicateType),
    predicate: Type.Object(
      {
        manifest: Manifest,
        /** sha256 of each text, by language. */
        notes: MapOf(Language, Sha256, { maxProperties: 40 }),
        terms: MapOf(Language, Sha256, { maxProperties: 40 }),
      },
      closed,
    ),
  },
  closed,
);
export type Statement = Static<typeof Statement>;

export const statementFormat = format('release statement', Statement, 512 * 1024);

const LanguageTexts = MapOf(Language, Type.String({ maxLength: 64 * 1024 }), { maxProperties: 40 });

/** `<platform>.texts.json`: the release notes and terms themselves, so that they can be read before an archive is fetched. */
export const ReleaseTexts = Type.Object(
  { _type: Type.Literal('https://countersign.dev/release-texts/v1'), notes: LanguageTexts, terms: LanguageTexts },
  closed,
);
export type ReleaseTexts = Static<typeof ReleaseTexts>;
export const releaseTextsFormat = format('release texts', ReleaseTexts, 2 << 20);

/** The published files of one release, as TUF target paths. A `capability` archive exists only if that capability has files. */
export function releasePaths(name: string, version: string, platform: string) {
  const stem = `components/${name}/${version}/${platform}`;
  return {
    base: `${stem}.base.tar.zst`,
    capability: (id: string) => `${stem}.cap-${id}.tar.zst`,
    bundles: `${stem}.release.sigstore.jsonl`,
    sbom: `${stem}.sbom.cdx.json`,
    texts: `${stem}.texts.json`,
  };
}

/** What is known of a release before its statement is read: from the channel's offer or from its path. */
export interface ReleaseName {
  readonly component: string;
  readonly version: string;
  readonly platform: string;
}

/** @throws RELEASE_STATEMENT RELEASE_MANIFEST */
export function checkStatement(statement: Statement, expected: ReleaseName): void {
  const { manifest, terms } = statement.predicate;
  const wrong = (what: string): Error =>
    releaseError(
      'RELEASE_STATEMENT',
      `the statement of ${expected.component} ${expected.version} ${expected.platform} ${what}`,
    );
  if (manifest.name !== expected.component) throw wrong(`is for ${manifest.name}`);
  if (manifest.version !== expected.version) throw wrong(`is for version ${manifest.version}`);
  if (manifest.platform !== expected.platform) throw wrong(`is for ${manifest.platform}`);
  checkManifest(manifest);
  const paths = releasePaths(manifest.name, manifest.version, manifest.platform);
  const archives = new Set([paths.base, ...manifest.capabilities.map(({ id }) => paths.capability(id))]);
  const names = statement.subject.map(({ name }) => name);
  if (names.some((name, index) => index > 0 && names[index - 1]! >= name))
    throw wrong('does not list its subjects sorted and once');
  for (const name of [paths.base, paths.sbom, paths.texts]) if (!names.includes(name)) throw wrong(`lacks ${name}`);
  for (const subject of statement.subject) {
    const archive = archives.has(subject.name);
    if (!archive && subject.name !== paths.sbom && subject.name !== paths.texts)
      throw wrong(`names ${subject.name}, which is no file of it`);
    const described = subject.annotations.unpacked !== undefined && subject.annotations.files !== undefined;
    if (archive && !described) throw wrong(`does not say how much ${subject.name} unpacks to`);
    if (!archive && (subject.annotations.unpacked !== undefined || subject.annotations.files !== undefined))
      throw wrong(`describes ${subject.name} as an archive`);
  }
  if ((manifest.terms === undefined) !== (Object.keys(terms).length === 0))
    throw wrong('has terms without a version, or a version without terms');
  if (manifest.terms !== undefined && !Object.hasOwn(terms, 'en')) throw wrong('lacks the terms in English');
}

/** The subject of a published file. @throws RELEASE_STATEMENT */
export function subjectOf(statement: Statement, path: string): Subject {
  const subject = statement.subject.find(({ name }) => name === path);
  if (!subject) throw releaseError('RELEASE_STATEMENT', `the statement does not name ${path}`);
  return subject;
}

/** The archives to install: the base, and those capabilities' among `granted` that have files. */
export function archivesOf(
  statement: Statement,
  granted: ReadonlySet<string>,
): { capability: string | null; subject: Subject }[] {
  const { manifest } = statement.predicate;
  const paths = releasePaths(manifest.name, manifest.version, manifest.platform);
  const archives: { capability: string | null; subject: Subject }[] = [
    { capability: null, subject: subjectOf(statement, paths.base) },
  ];
  for (const { id } of manifest.capabilities) {
    const subject = granted.has(id) ? statement.subject.find(({ name }) => name === paths.capability(id)) : undefined;
    if (subject) archives.push({ capability: id, subject });
  }
  return archives;
}

/** Reads `<platform>.texts.json` and compares it with the signed digests. @throws RELEASE_TEXTS and those of the format */
export function readReleaseTexts(statement: Statement, bytes: Uint8Array): ReleaseTexts {
  const texts = releaseTextsFormat.parse(bytes);
  for (const kind of ['notes', 'terms'] as const) {
    const signed = statement.predicate[kind];
    if (Object.keys(signed).join() !== Object.keys(texts[kind]).join())
      throw releaseError('RELEASE_TEXTS', `the ${kind} are in other languages than were signed`);
    for (const [language, text] of Object.entries(texts[kind])) {
      if (sha256(text) !== signed[language])
        throw releaseError('RELEASE_TEXTS', `the ${kind} in ${language} differ from what was signed`);
      if (!isSafeText(text))
        throw releaseError(
          'RELEASE_TEXTS',
          `the ${kind} in ${language} have a control, invisible or bidirectional character`,
        );
    }
  }
  return texts;
}
