/** `countersign-device check|plan|approve|decline|hold`. */
import { later, timeOption } from '@countersign/protocol/terminal';
import type { Command } from 'commander';
import { addPersonOptions } from './person-options.ts';

const actions = () => import('../actions/plan.ts');

const systemLanguage = (): string =>
  /^[a-z]{2}/.exec(process.env.LC_ALL ?? process.env.LC_MESSAGES ?? process.env.LANG ?? '')?.[0] ?? 'en';

const addLanguage = (command: Command): Command =>
  command.option('--language <code>', 'language of the texts', systemLanguage());

export function addPlanCommands(program: Command): void {
  program.command('check').description('ask the servers now, and plan').action(later(actions, 'check'));
  addLanguage(program.command('plan').description('show the change that waits, in words'))
    .option('--decisions-template <file>', 'write a decisions file to fill in, everything kept off')
    .option('--remove <component...>', 'plan the removal of a component instead of what is on offer')
    .action(later(actions, 'plan'));
  addPersonOptions(addLanguage(program.command('approve <plan>').description('approve and sign a plan')))
    .option('--decisions <file>', 'answers: {planDigest, decisions, terms}')
    .action(later(actions, 'approve'));
  addPersonOptions(addLanguage(program.command('decline <plan>').description('decline and sign; nothing changes')))
    .option('--reason <text>', 'why')
    .action(later(actions, 'decline'));
  program
    .command('hold <plan>')
    .description('put a plan off')
    .option('--reason <text>', 'why')
    .option('--until <time>', 'until when, such as 2026-12-24T06:00:00Z', timeOption)
    .action(later(actions, 'hold'));
}
