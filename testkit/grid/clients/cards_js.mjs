// The verifier of npm @a2a-js/sdk on the cards of a gateway: `verify --root URL --agents a,b` prints a JSON line for each check,
// `{"case", "ok", "detail"}`. `demands --root URL --agent NAME --demand a,b` reads which scopes the skill `locked` needs.

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

if (process.argv[2] === 'demands') {
  const wanted = ['a2a:locked:send', ...flag('demand').split(',').sort()];
  for (const base of [root, `${root}/agents/${flag('agent')}`]) {
    const answer = await fetch(`${base}/.well-known/agent-card.json`, { headers: { 'A2A-Version': '1.0' } });
    const stated = await answer.json();
    const card = AgentCard.fromJSON(stated);
    const locked = card.skills.find((skill) => skill.id === 'locked').securityRequirements;
    const lists = (scheme) => JSON.stringify(locked.map((one) => one.schemes[scheme]?.list).filter(Boolean));
    const both = lists('token') === JSON.stringify([wanted]) && lists('oauth') === JSON.stringify([wanted]);
    tell(`js reads what is needed: ${base}`, both, JSON.stringify(locked));
    const server = card.securitySchemes.oauth?.scheme;
    const url = server?.value?.flows?.flow?.value?.tokenUrl;
    tell(`js reads the gateway's own server: ${base}`, url === `${root}/oauth/token`, JSON.stringify(server));
    tell(`js finds that scheme in the card: ${base}`, card.securitySchemes.token?.scheme?.$case === 'httpAuthSecurityScheme',
      JSON.stringify(card.securitySchemes));
    // As it came: of a card that it has read, the library forgets the schemes before it looks at the signature.
    tell(`js verifies it: ${base}`, await holds(stated));
    stated.skills.at(-1).securityRequirements[0].schemes.oauth.list.pop();
    tell(`js refuses it with less demanded: ${base}`, !(await holds(stated)));
  }
  process.exit(0);
}

for (const name of ['', ...flag('agents').split(',')]) {
  const base = name ? `${root}/agents/${name}` : root;
  const answer = await fetch(`${base}/.well-known/agent-card.json`, { headers: { 'A2A-Version': '1.0' } });
  const card = AgentCard.fromJSON(await answer.json());
  tell(`ours, js: /${name}`, await holds(card));
  card.skills[0].description += '!';
  tell(`ours, js, changed: /${name}`, !(await holds(card)));
}
