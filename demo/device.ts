/** Plays a device of the demo and its technicians: Kim, and Lee where two people must sign. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { StageError, type Stage } from './stage.ts';

/** What a device reports about itself at the end. */
export interface Summary {
  readonly generation: number;
  readonly components: Record<string, unknown>;
  readonly rolledBack: readonly object[];
  readonly refused: readonly object[];
  readonly approvals: number;
  readonly auditVerified: boolean;
  readonly verifiersAgreed: boolean;
}

interface DeviceOptions {
  readonly model: string;
  readonly serial: string;
  /** A person answers on the terminal. */
  readonly attended: boolean;
}

export interface Update {
  /** Capabilities to turn on when they are asked. */
  readonly grant: readonly string[];
  readonly expectRollback?: boolean;
}

const passwords = { kim: 'quiet-river-morning', lee: 'seven-paper-lanterns' } as const;
type Person = keyof typeof passwords;
const printed: Record<Person, string> = { kim: 'Kim Kessler', lee: 'Lee Larsen' };

export class Device {
  readonly name: string;
  readonly #stage: Stage;
  readonly #options: DeviceOptions;

  constructor(stage: Stage, name: string, options: DeviceOptions) {
    this.#stage = stage;
    this.name = name;
    this.#options = options;
  }

  get folder(): string {
    return this.#stage.path(this.name);
  }

  passwordFile = (person: Person): string => this.#stage.path('secrets', person);

  /** Sets the PC up and gives both technicians an account. */
  async make(server: string): Promise<void> {
    const { model, serial } = this.#options;
    await this.#run([
      'init',
      '--server',
      server,
      '--model',
      model,
      '--serial',
      serial,
      '--package',
      this.#stage.path('signer', 'package'),
    ]);
    for (const person of Object.keys(passwords) as Person[]) {
      const file = this.passwordFile(person);
      if (!existsSync(resolve(file))) writeFileSync(file, `${passwords[person]}\n`, { mode: 0o600 });
      await this.#run(['account', 'add', person, '--printed-name', printed[person], '--password-file', file]);
    }
    if (this.#options.attended)
      this.#stage.say(
        `  (accounts and passwords: ${Object.entries(passwords)
          .map((pair) => pair.join(' '))
          .join(', ')})`,
      );
  }

  /** Polls, reads, decides, installs. */
  async update({ grant, expectRollback = false }: Update): Promise<void> {
    if (await this.approve({ grant })) await this.#run(['install'], expectRollback ? 1 : 0);
  }

  /** Polls, shows the plan in words and gets an answer; returns whether it was approved. */
  async approve({ grant }: Update): Promise<boolean> {
    await this.#run(['check']);
    return this.#answer(grant);
  }

  /** Asks for a capability that is off. A technician decides on that alone; for health information a second one decides too. */
  async request(component: string, capability: string): Promise<void> {
    await this.#run(['capability', 'request', component, capability]);
    if (await this.#answer([capability])) await this.#run(['install']);
  }

  /** Asks the running program itself what is open. */
  async askProgram(): Promise<void> {
    const { stdout } = await this.#execute('remote-support', 'status');
    const { open } = JSON.parse(stdout) as { open: string[] };
    this.#stage.say(`  ${this.name}: remote-support says open: ${open.join(', ')}`);
  }

  /** Ends the programs that run here, as taking the PC out of service would. */
  async stopPrograms(): Promise<void> {
    const { components } = await this.#ask<Summary>(['status'], true);
    for (const name of Object.keys(components))
      if (name !== 'instrument-runtime') await this.#execute(name, 'stop', true);
  }

  #execute(component: string, script: string, quiet = false): Promise<{ stdout: string }> {
    const program = process.platform === 'win32' ? 'node.exe' : 'node';
    return this.#stage.run(
      'countersign-device',
      [
        ...['exec', component, '--dir', this.folder, '--'],
        ...[`\${component:instrument-runtime}/bin/${program}`, `bin/${script}.mjs`],
      ],
      { json: false, quiet },
    );
  }

  /** Polls once more and reads what the device reports about itself. */
  async summary(): Promise<Summary> {
    await this.#run(['check']);
    const status = await this.#ask<Summary>(['status']);
    for (const one of status.refused as { component: string; version: string; code: string }[])
      this.#stage.say(`  ${this.name} refuses ${one.component} ${one.version}: ${one.code}`);
    const { verified } = await this.#ask<{ verified: boolean }>(['audit', 'verify']);
    return {
      generation: status.generation,
      components: status.components,
      rolledBack: status.rolledBack,
      refused: status.refused,
      approvals: status.approvals,
      auditVerified: verified,
      verifiersAgreed: status.verifiersAgreed,
    };
  }

  /** Goes on like the service on the PC. */
  async startService(): Promise<void> {
    const args = ['run', '--dir', this.folder, '--poll-seconds', '10', '--json'];
    await this.#stage.startProgram(
      this.name,
      'countersign-device',
      args,
      (line) => line.includes('"started"') || undefined,
    );
  }

  async #answer(grant: readonly string[]): Promise<boolean> {
    const stage = this.#stage;
    if (this.#options.attended) {
      const { plan } = await this.#ask<{ plan: string }>(['plan'], true);
      for (;;) {
        const code = await stage.handOver('countersign-device', ['approve', plan.slice(0, 16), '--dir', this.folder]);
        if (code !== 0) {
          stage.say('  (not approved: the demo goes on without it)');
          return false;
        }
        if ((await this.#ask<{ plan: { state: string } }>(['status'], true)).plan.state === 'approved') return true;
        stage.say('  A second person must sign the same decisions: answer once more, as lee.');
      }
    }
    const decisions = stage.path('secrets', `${this.name}-decisions.json`);
    const { plan } = await this.#ask<{ plan: string }>(['plan', '--decisions-template', decisions]);
    const answers = JSON.parse(readFileSync(resolve(decisions), 'utf8')) as {
      decisions: { capability: string; grant: boolean }[];
      terms: { accepted: boolean }[];
    };
    for (const decision of answers.decisions) decision.grant = grant.includes(decision.capability);
    for (const terms of answers.terms) terms.accepted = true;
    writeFileSync(decisions, `${JSON.stringify(answers, null, 2)}\n`);
    for (const { capability, grant: on } of answers.decisions)
      stage.say(`  ${this.name}: ${capability} ${on ? 'is turned on' : 'is kept off'}`);
    for (const person of Object.keys(passwords) as Person[]) {
      const signed = await this.#ask<{ state: string }>([
        ...['approve', plan.slice(0, 16), '--decisions', decisions, '--account', person],
        ...['--password-file', this.passwordFile(person)],
      ]);
      if (signed.state === 'approved') return true;
    }
    throw new StageError(`${this.name}: plan ${plan} is not approved by two people`);
  }

  #run(args: readonly string[], expect = 0): Promise<unknown> {
    return this.#stage.run('countersign-device', [...args, '--dir', this.folder], { expect });
  }

  #ask<T>(args: readonly string[], quiet = false): Promise<T> {
    return this.#stage.ask<T>('countersign-device', [...args, '--dir', this.folder], { quiet });
  }
}
