/**
 * Does what somebody with an editor can do to a device's database. Only here do tests change rows without the module that owns
 * them; where a product function can make the change, tests use that function.
 */
import type { DatabaseSync, SQLInputValue } from 'node:sqlite';

type Values = Readonly<Record<string, SQLInputValue>>;
interface WithDatabase {
  readonly database: DatabaseSync;
}

export const emptyTable = ({ database }: WithDatabase, table: string): void => database.exec(`DELETE FROM ${table}`);

/** Sets columns in every row. */
export function overwriteRows({ database }: WithDatabase, table: string, values: Values): void {
  const columns = Object.keys(values).map((name) => `${name} = ?`);
  database.prepare(`UPDATE ${table} SET ${columns.join(', ')}`).run(...Object.values(values));
}

export function putRow({ database }: WithDatabase, table: string, values: Values): void {
  const marks = Object.keys(values).map(() => '?');
  database
    .prepare(`INSERT OR REPLACE INTO ${table} (${Object.keys(values).join(', ')}) VALUES (${marks.join(', ')})`)
    .run(...Object.values(values));
}

/** Rewrites the bytes of one column, row by row, in a table that has row ids. */
export function rewriteBytes(
  { database }: WithDatabase,
  table: string,
  column: string,
  change: (text: string) => string,
): void {
  for (const { id, bytes } of database.prepare(`SELECT rowid AS id, ${column} AS bytes FROM ${table}`).all())
    database
      .prepare(`UPDATE ${table} SET ${column} = ? WHERE rowid = ?`)
      .run(Buffer.from(change(Buffer.from(bytes as Uint8Array).toString('utf8'))), id as number);
}
