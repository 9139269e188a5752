#!/usr/bin/env node
import { launch } from '@countersign/protocol/launcher';

await launch(import.meta.url, '../src/main.ts');
