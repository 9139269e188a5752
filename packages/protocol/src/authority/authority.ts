/**
 * The bodies of the two authorities that do not depend on TUF keys. Each is a chain of DSSE envelopes, one version a line:
 * version N+1 is signed by the threshold that version N names, version 1 ships with the device. The chain's rules stand in
 * `authority-chain.ts`.
 */
import Type, { type Static } from 'typebox';
import { KeyId, PublicKey } from '../public-key.ts';
import { format } from '../schema.ts';
import { closed, CapabilityId, ComponentName, Name, Time, MapOf } from '../text.ts';

const Id = Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{0,62}$' });
const VersionNumber = Type.Integer({ minimum: 1, maximum: 1_000_000 });

/** Who signs the next version of this chain. */
const ChainSigners = Type.Object(
  {
    keys: MapOf(KeyId, PublicKey, { minProperties: 1, maxProperties: 16 }),
    threshold: Type.Integer({ minimum: 1, maximum: 16 }),
  },
  closed,
);

export const codesignType = 'https://countersign.dev/authority/codesign/v1';
export const codesignPayloadType = 'application/vnd.countersign.authority.codesign.v1+json';

/** An X.509 certificate of the CA in `authority` whose issuer and subject are these; never a pinned leaf. */
const X509Identity = Type.Object(
  {
    type: Type.Literal('x509'),
    authority: Id,
    /** RFC 4514-like text of the issuer as Node prints it, lines joined by newline. */
    issuer: Type.String({ minLength: 1, maxLength: 1000 }),
    /** Attributes that must be equal, such as C, O, CN; the certificate may not repeat any. */
    subject: MapOf(Type.String({ pattern: '^[A-Za-z0-9.]{1,40}$' }), Type.String({ maxLength: 300 }), {
      minProperties: 1,
      maxProperties: 16,
    }),
  },
  closed,
);
/** A Fulcio certificate: OIDC issuer and exact subject alternative name. */
const KeylessIdentity = Type.Object(
  {
    type: Type.Literal('keyless'),
    authority: Id,
    issuer: Type.String({ minLength: 1, maxLength: 500 }),
    san: Type.String({ minLength: 1, maxLength: 500 }),
  },
  closed,
);
/** A pinned public key: tests and bootstrap only. */
const KeyIdentity = Type.Object({ type: Type.Literal('key'), publicKey: PublicKey }, closed);

export const Identity = Type.Union([X509Identity, KeylessIdentity, KeyIdentity]);
export type Identity = Static<typeof Identity>;

export const CodesignAuthority = Type.Object(
  {
    _type: Type.Literal(codesignType),
    version: VersionNumber,
    issued: Time,
    signers: ChainSigners,
    /** One Sigstore trusted root (its protobuf JSON) for each CA, so that certificates of one never meet identities of another. */
    authorities: MapOf(
      Id,
      Type.Object(
        {
          kind: Type.Union([Type.Literal('x509'), Type.Literal('keyless')]),
          trustedRoot: Type.Record(Type.String(), Type.Unknown()),
        },
        closed,
      ),
      { maxProperties: 16 },
    ),
    identities: MapOf(Id, Identity, { maxProperties: 64 }),
    /** Which people stand behind which TUF keys and code-signing identities; each key and identity has exactly one person. */
    persons: MapOf(
      Id,
      Type.Object(
        {
          name: Name,
          keys: Type.Array(KeyId, { maxItems: 16, uniqueItems: true }),
          identities: Type.Array(Id, { maxItems: 16, uniqueItems: true }),
        },
        closed,
      ),
      { maxProperties: 200 },
    ),
    /** For each component, or `*` for those not named: the roles that must have signed the statement, and how many of each. */
    components: MapOf(
      Type.String({ pattern: '^(\\*|[a-z][a-z0-9-]{0,62})$' }),
      Type.Array(
        Type.Object(
          {
            role: Id,
            identities: Type.Array(Id, { minItems: 1, maxItems: 16, uniqueItems: true }),
            threshold: Type.Integer({ minimum: 1, maximum: 16 }),
          },
          closed,
        ),
        { minItems: 1, maxItems: 8 },
      ),
      { minProperties: 1, maxProperties: 1000 },
    ),
  },
  closed,
);
export type CodesignAuthority = Static<typeof CodesignAuthority>;
export const codesignFormat = format('codesign authority', CodesignAuthority, 1 << 20);

export const devicesType = 'https://countersign.dev/authority/devices/v1';
export const devicesPayloadType = 'application/vnd.countersign.authority.devices.v1+json';

const Approvers = Type.Integer({ minimum: 1, maximum: 2 });

export const DevicesAuthority = Type.Object(
  {
    _type: Type.Literal(devicesType),
    version: VersionNumber,
    issued: Time,
    /** After it, the last denials stay in force and nothing more is allowed. */
    expires: Time,
    signers: ChainSigners,
    /** A model that is not in the list counts as one that holds personal health information. */
    models: MapOf(Name, Type.Object({ phi: Type.Boolean() }, closed), { maxProperties: 1000 }),
    /** All that may be offered on phi models. */
    phiAllowed: Type.Array(
      Type.Object(
        { component: ComponentName, capability: CapabilityId, contract: Type.Integer({ minimum: 1 }) },
        closed,
      ),
      { maxItems: 1000 },
    ),
    /** Capabilities denied everywhere. */
    denied: Type.Array(Type.Object({ component: ComponentName, capability: CapabilityId }, closed), { maxItems: 1000 }),
    /** Accounts that must sign an approval which grants a capability of this risk. */
    approvers: Type.Object({ standard: Approvers, high: Approvers, phi: Approvers }, closed),
    /** Hosts a device of the region may talk to. */
    regions: MapOf(
      Id,
      Type.Object({ hosts: Type.Array(Type.String({ maxLength: 255 }), { minItems: 1, maxItems: 32 }) }, closed),
      {
        minProperties: 1,
        maxProperties: 32,
      },
    ),
  },
  closed,
);
export type DevicesAuthority = Static<typeof DevicesAuthority>;
export const devicesFormat = format('devices authority', DevicesAuthority, 1 << 20);
