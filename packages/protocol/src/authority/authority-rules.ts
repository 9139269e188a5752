/** Rules for the body of an authority version that its schema cannot express. */
import { keyIdOf, keyMaterial } from '../public-key.ts';
import { releaseError } from '../release/release-errors.ts';
import { shortDigest } from '../text.ts';
import type { CodesignAuthority, DevicesAuthority } from './authority.ts';

const wrong = (what: string): Error => releaseError('AUTHORITY_BODY', what);

/**
 * Signers: each key id belongs to its key, each key is usable and listed once, the threshold is reachable. @throws AUTHORITY_BODY
 */
function checkSigners({ keys, threshold }: CodesignAuthority['signers']): void {
  const materials = new Set<string>();
  for (const [id, key] of Object.entries(keys)) {
    if (keyIdOf(key) !== id) throw wrong(`signer ${shortDigest(id)} is not the id of its key`);
    const material = keyMaterial(key);
    if (material === null) throw wrong(`signer ${shortDigest(id)} has a key that cannot be used`);
    if (materials.has(material)) throw wrong(`signer ${shortDigest(id)} has the key of another signer`);
    materials.add(material);
  }
  if (threshold > materials.size) throw wrong(`${materials.size} signers cannot reach a threshold of ${threshold}`);
}

/** @throws AUTHORITY_BODY */
export function checkCodesign(body: CodesignAuthority): void {
  checkSigners(body.signers);
  for (const [id, identity] of Object.entries(body.identities)) {
    if (identity.type === 'key') {
      if (keyMaterial(identity.publicKey) === null) throw wrong(`identity ${id} has a key that cannot be used`);
      continue;
    }
    const authority = Object.hasOwn(body.authorities, identity.authority)
      ? body.authorities[identity.authority]
      : undefined;
    if (!authority) throw wrong(`identity ${id} names authority ${identity.authority}, which is not there`);
    if (authority.kind !== identity.type)
      throw wrong(`identity ${id} is ${identity.type}, its authority is ${authority.kind}`);
  }
  const owners = new Map<string, string>();
  for (const [person, { keys, identities }] of Object.entries(body.persons)) {
    for (const owned of [...keys, ...identities.map((id) => `identity ${id}`)]) {
      const other = owners.get(owned);
      if (other !== undefined) throw wrong(`${owned} belongs to ${other} and to ${person}`);
      owners.set(owned, person);
    }
    for (const id of identities)
      if (!Object.hasOwn(body.identities, id)) throw wrong(`person ${person} has identity ${id}, which is not there`);
  }
  for (const [component, rules] of Object.entries(body.components)) {
    const roles = rules.map(({ role }) => role);
    if (new Set(roles).size !== roles.length) throw wrong(`component ${component} has one role twice`);
    for (const { role, identities, threshold } of rules) {
      if (threshold > identities.length)
        throw wrong(`role ${role} of ${component} has ${identities.length} identities for a threshold of ${threshold}`);
      for (const id of identities)
        if (!Object.hasOwn(body.identities, id))
          throw wrong(`role ${role} of ${component} names identity ${id}, which is not there`);
    }
  }
}

/** @throws AUTHORITY_BODY */
export function checkDevices(body: DevicesAuthority): void {
  checkSigners(body.signers);
  if (Date.parse(body.expires) <= Date.parse(body.issued))
    throw wrong(`it expires on ${body.expires}, before it was issued`);
  for (const [region, { hosts }] of Object.entries(body.regions))
    for (const host of hosts)
      if (!/^(\[[0-9a-f:]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)$/.test(host))
        throw wrong(`region ${region} has the host ${JSON.stringify(host)}`);
}
