/**
 * Puts a plan into words for the technician who approves it: the capability diff first, everything that comes from a component
 * escaped. The approval record's `shown` digest covers this text, so it must be a pure function of its input.
 */
import {
  shortDigest,
  escapeText,
  textFor,
  type Capability,
  type Decision,
  type Manifest,
  type Plan,
  type PlanStep,
  type ReleaseTexts,
} from '@countersign/protocol';
import { paragraphs } from './text-layout.ts';

/** What the plan's releases say about themselves, by component. */
export interface PlanReleases {
  readonly manifests: ReadonlyMap<string, Manifest>;
  readonly texts: ReadonlyMap<string, ReleaseTexts>;
  /** BCP 47; texts fall back to English. */
  readonly language: string;
}

const changes: Record<Decision['change'], string> = {
  new: 'new',
  widened: 'reaches further than',
  'contract-changed': 'means something else than',
  'risk-raised': 'is riskier than',
  requested: 'requested here',
};
const changeOf = ({ change, before }: Decision): string =>
  change === 'new' || change === 'requested'
    ? changes[change]
    : `${changes[change]} ${before ? 'what you allowed' : 'when it was kept off'}`;
const risks: Record<Decision['risk'], string> = {
  standard: 'standard risk',
  high: 'high risk',
  phi: 'reaches personal health information',
};
const rollbacks: Record<PlanStep['rollback'], string> = {
  safe: 'can be rolled back',
  'data-migrating': 'changes stored data: rolling back loses what is recorded after it',
  impossible: 'CANNOT be rolled back',
};
const actions: Record<PlanStep['action'], string> = {
  install: 'is installed',
  update: 'is updated',
  downgrade: 'is DOWNGRADED',
  regrant: 'stays as it is, capabilities change',
  remove: 'is REMOVED',
};

/** The lines that are shown before the questions. */
export function describePlan(plan: Plan, digest: string, releases: PlanReleases): string[] {
  const lines = [`Change ${shortDigest(digest)} for ${escapeText(plan.model)}, from generation ${plan.fromGeneration}`];
  const asked = plan.steps.reduce((sum, step) => sum + step.decisions.length, 0);
  lines.push(
    asked === 0
      ? 'No new capability is asked.'
      : `${asked} ${asked === 1 ? 'capability' : 'capabilities'} to decide, each stays OFF unless you turn it on.`,
  );
  for (const step of plan.steps) lines.push('', ...describeStep(step, releases));
  return lines;
}

function describeStep(step: PlanStep, { manifests, texts, language }: PlanReleases): string[] {
  const manifest = manifests.get(step.component);
  const title = manifest ? textFor(manifest.title, language) : step.component;
  const way = [step.from?.version, step.to?.version].filter((version) => version !== undefined).join(' → ');
  const lines = [`${escapeText(title)} (${step.component} ${way}) ${actions[step.action]}`];
  if (step.to) lines.push(`  ${step.urgency} · ${rollbacks[step.rollback]}`);
  for (const decision of step.decisions) lines.push(...describeDecision(decision, manifest, language));
  for (const { capability, by, reason } of step.denied)
    lines.push(
      `  - ${capability}: not available here, ${by === 'vendor' ? "by the vendor's policy" : "by the laboratory's policy"}: ${escapeText(reason)}`,
    );
  if (step.closed.length > 0) lines.push(`  is closed: ${step.closed.join(', ')}`);
  if (step.kept.length > 0) lines.push(`  stays on: ${step.kept.map(({ capability }) => capability).join(', ')}`);
  if (step.off.length > 0) lines.push(`  stays off: ${step.off.join(', ')}`);
  const release = texts.get(step.component);
  if (release && Object.keys(release.notes).length > 0 && step.to && step.action !== 'regrant')
    lines.push('  what the vendor says:', ...paragraphs(textFor(release.notes, language), '    '));
  if (step.terms) lines.push(`  terms ${step.terms.version} are to be read and accepted`);
  return lines;
}

/** One decision as the question's text. */
export function describeDecision(decision: Decision, manifest: Manifest | undefined, language: string): string[] {
  const declared: Capability | undefined = manifest?.capabilities.find(({ id }) => id === decision.capability);
  const title = declared ? textFor(declared.title, language) : decision.capability;
  const lines = [
    `  ? ${escapeText(title)} (${decision.capability}): ${changeOf(decision)}, ${risks[decision.risk]}${decision.required ? ', the component needs it' : ''}`,
  ];
  if (declared) lines.push(...paragraphs(textFor(declared.description, language), '      '));
  lines.push(...scopeLines('reaches', decision.scope));
  if (decision.before) lines.push(...scopeLines('until now', decision.before.scope));
  return lines;
}

function scopeLines(label: string, scope: Decision['scope']): string[] {
  const parts = Object.entries(scope).map(
    ([key, value]) => `${key} ${Array.isArray(value) ? value.join(', ') : String(value)}`,
  );
  return parts.length === 0 ? [] : [`      ${label}: ${escapeText(parts.join('; '))}`];
}
