/** Serves a simulated repository over loopback HTTP: `metadata/` with ETags, `targets/` with ranges. */
import type { TestContext } from 'node:test';
import { serve, type TestServer } from './http-server.ts';
import type { RepositorySimulator } from './repository-simulator.ts';

export interface RepositoryServer extends TestServer {
  readonly metadataUrl: string;
  readonly targetsUrl: string;
  /** Paths asked for, in order. */
  readonly paths: string[];
}

export async function serveRepository(t: TestContext, repo: RepositorySimulator): Promise<RepositoryServer> {
  const paths: string[] = [];
  const server = await serve(t, (request, response) => {
    const path = request.url!.slice(1);
    paths.push(path);
    const bytes = path.startsWith('metadata/')
      ? repo.files.get(path.slice('metadata/'.length))
      : repo.artifacts.get(decodeURIComponent(path.slice('targets/'.length)));
    if (bytes === undefined) return void response.writeHead(404).end();
    const etag = `"${bytes.length}-${bytes.subarray(14, 120).toString('hex')}"`;
    if (request.headers['if-none-match'] === etag) return void response.writeHead(304).end();
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.setHeader('etag', etag).setHeader('content-length', bytes.length - from);
    if (from > 0) response.writeHead(206, { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` });
    response.end(bytes.subarray(from));
  });
  return { ...server, metadataUrl: `${server.url}metadata/`, targetsUrl: `${server.url}targets/`, paths };
}
