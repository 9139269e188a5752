/** `countersign pack FOLDER`. */
import { later } from '@countersign/protocol/terminal';
import type { Command } from 'commander';

export function addPack(program: Command): void {
  program
    .command('pack')
    .description('pack a component folder into the files of a release and the statement to sign')
    .argument('<folder>', 'folder with component.json and base/')
    .option('--replace', 'pack again what was packed with other contents and nobody has signed')
    .action(later(() => import('../actions/pack.ts'), 'pack'));
}
