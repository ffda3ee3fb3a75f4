// The verifier of npm @a2a-js/sdk on the cards of a gateway: `verify --root URL --agents a,b` prints a JSON line for each check,
// `{"case", "ok", "detail"}`.

import { load } from './harness.mjs';

const { AgentCard, verifyAgentCardSignature } = load('@a2a-js/sdk');
const jose = load('jose');

const flag = (name) => process.argv[process.argv.indexOf(`--${name}`) + 1];
const root = flag('root');
console.debug = () => {};

function tell(name, ok, detail = '') {
  process.stdout.write(`${JSON.stringify({ case: name, ok, detail: String(detail).slice(0, 300) })}\n`);
}

const keys = jose.createLocalJWKSet(await (await fetch(`${root}/.well-known/jwks.json`)).json());
const verify = verifyAgentCardSignature((kid) => keys({ alg: 'ES256', kid }));
const holds = (card) => verify(card).then(() => true, () => false);

for (const name of ['', ...flag('agents').split(',')]) {
  const base = name ? `${root}/agents/${name}` : root;
  const answer = await fetch(`${base}/.well-known/agent-card.json`, { headers: { 'A2A-Version': '1.0' } });
  const card = AgentCard.fromJSON(await answer.json());
  tell(`ours, js: /${name}`, await holds(card));
  card.skills[0].description += '!';
  tell(`ours, js, changed: /${name}`, !(await holds(card)));
}
