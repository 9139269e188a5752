/**
 * The release statement: an in-toto Statement v1 whose subjects are exactly a release's published files (archives, SBOM and
 * texts, not the bundles) and whose predicate carries the manifest. Every bundle of a release signs the same bytes;
 * "release" elsewhere means the sha256 of those bytes. Rules beyond the schema stand in `statement-rules.ts`.
 */
import Type, { type Static } from 'typebox';
import { format } from '../schema.ts';
import { Sha256, MapOf } from '../text.ts';
import { Manifest } from './manifest.ts';

export const statementType = 'https://in-toto.io/Statement/v1';
export const predicateType = 'https://countersign.dev/attestations/component-release/v1';
export const statementPayloadType = 'application/vnd.in-toto+json';

const closed = { additionalProperties: false } as const;
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
        /** Archives only: the sum of their files' bytes, and how many files. */
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

/** The published files of one release, as TUF target paths. `capability` files exist only where that capability has some. */
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
