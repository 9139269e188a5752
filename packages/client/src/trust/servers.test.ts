import assert from 'node:assert/strict';
import { createServer, type Server as HttpServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import * as pkijs from 'pkijs';
import { request } from 'undici';
import { issue, oids } from '../../../../demo/certificates.ts';
import { scratchDevice } from '../../../../test/support/scratch-device.ts';
import { allowedHosts, checkServer, configuredServers, openConnection } from './servers.ts';

const serve = async (t: TestContext, listener: Parameters<typeof createServer>[1]): Promise<string> => {
  const server: HttpServer = createServer(listener!);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close().closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
};

test('a server address is https, or http on loopback, and nothing else', () => {
  assert.equal(checkServer('https://updates.example.com/device').href, 'https://updates.example.com/device/');
  assert.equal(checkServer('http://[::1]:8080/').port, '8080');
  for (const bad of [
    'http://updates.example.com/',
    'http://127.0.0.1.example.com/',
    'ftp://127.0.0.1/',
    'https://user@updates.example.com/',
    'https://:secret@updates.example.com/',
    'https://updates.example.com/?a=b',
    'https://updates.example.com/#a',
    'updates.example.com',
  ])
    assert.throws(() => checkServer(bad), { code: 'TRUST_SERVER' }, bad);
});

test('servers keep their order; a device without one says so', () => {
  const servers = ['https://a.example.com/x/', 'https://b.example.com/'];
  assert.deepEqual(
    configuredServers(scratchDevice(undefined, { servers })).map(({ metadataUrl }) => metadataUrl),
    ['https://a.example.com/x/metadata/', 'https://b.example.com/metadata/'],
  );
  assert.throws(() => configuredServers(scratchDevice()), { code: 'TRUST_SERVER' });
});

test('hosts are those of init that the policy gives to the region', () => {
  const device = scratchDevice(undefined, { hosts: ['a.example.com', 'b.example.com'], region: 'global' });
  const regions = { global: { hosts: ['b.example.com', 'evil.example.com'] }, china: { hosts: ['a.example.com'] } };
  assert.deepEqual([...allowedHosts(device, null)], ['a.example.com', 'b.example.com']);
  assert.deepEqual([...allowedHosts(device, regions)], ['b.example.com']);
  assert.deepEqual([...allowedHosts(device, { china: regions.china })], []);
});

test('connects to a listed host, says that loopback is not encrypted, and refuses every other host', async (t) => {
  const url = await serve(t, (_, response) => response.end('yes'));
  const device = scratchDevice(undefined, { servers: [url] });
  const connection = openConnection(device, new Set(['127.0.0.1']));
  t.after(() => connection.close());
  for (let i = 0; i < 2; i++) {
    const { body } = await request(url, { dispatcher: connection.dispatcher });
    assert.equal(await body.text(), 'yes');
  }
  assert.equal(device.events.length, 1);
  await assert.rejects(request(url.replace('127.0.0.1', 'localhost'), { dispatcher: connection.dispatcher }), {
    code: 'TRUST_HOST',
  });
  await assert.rejects(request('http://192.0.2.1/', { dispatcher: connection.dispatcher }), { code: 'TRUST_SERVER' });
  connection.allow(new Set());
  await assert.rejects(request(url, { dispatcher: connection.dispatcher }), { code: 'TRUST_HOST' });
});

test('a redirect is an answer, never followed', async (t) => {
  let asked = 0;
  const url = await serve(t, (_, response) => {
    asked++;
    response.writeHead(302, { location: '/elsewhere' }).end();
  });
  const connection = openConnection(scratchDevice(undefined, { servers: [url] }), new Set(['127.0.0.1']));
  t.after(() => connection.close());
  const { statusCode, body } = await request(url, { dispatcher: connection.dispatcher });
  await body.dump();
  assert.equal(statusCode, 302);
  assert.equal(asked, 1);
});

/** A server certificate for localhost. */
async function certificate(): Promise<{ cert: string; key: string }> {
  const names = new pkijs.GeneralNames({ names: [new pkijs.GeneralName({ type: 2, value: 'localhost' })] });
  const extnValue = names.toSchema().toBER();
  const { pem, key } = await issue({
    subject: { CN: 'localhost' },
    usages: { oids: [oids.serverAuth], critical: false },
    more: [new pkijs.Extension({ extnID: '2.5.29.17', extnValue })],
  });
  return { cert: pem, key: key.export({ type: 'pkcs8', format: 'pem' }) as string };
}

test('TLS is 1.2 or newer, and the certificate is of an authority that is known here', async (t) => {
  const pair = await certificate();
  const listen = async (options: object): Promise<string> => {
    const server = createSecureServer({ ...pair, ...options }, (_, response) => void response.end('yes'));
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    t.after(() => server.close().closeAllConnections());
    return `https://localhost:${(server.address() as AddressInfo).port}/`;
  };
  const ask = async (url: string, certificateAuthorities: string[]) => {
    const device = scratchDevice(undefined, { servers: [url], certificateAuthorities });
    const connection = openConnection(device, new Set(['localhost']));
    t.after(() => connection.close());
    return (await request(url, { dispatcher: connection.dispatcher })).body.text();
  };
  const good = await listen({ minVersion: 'TLSv1.2' });
  const old = await listen({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' });
  assert.equal(await ask(good, [pair.cert]), 'yes');
  await assert.rejects(ask(good, []), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  await assert.rejects(ask(old, [pair.cert]), { code: /^ERR_SSL_/ });
});
