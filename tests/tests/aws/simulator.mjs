// Answers IAM's SimulatePrincipalPolicy for one caller: reads a question a line, writes an answer a line.
// { account, policies, principal, actions, arns, context } -> [{ action, arn, decision, missing }]
import { runSimulation } from '@cloud-copilot/iam-simulate'
import { createInterface } from 'node:readline'

const list = (value) => (Array.isArray(value) ? value : [value])
const DECISIONS = { Allowed: 'allowed', ExplicitlyDenied: 'explicitDeny' }

// Keys that a statement on this action asks for and the question does not tell.
const missing = (policies, action, context) => {
  const told = Object.keys(context).map((key) => key.toLowerCase())
  const of = policies.flatMap((policy) => policy.Statement).filter((statement) => list(statement.Action).includes(action))
  const conditions = of.flatMap((statement) => Object.entries(statement.Condition ?? {})).filter(([operator]) => operator !== 'Null')
  const keys = conditions.flatMap(([, keys]) => Object.keys(keys))
  return [...new Set(keys.filter((key) => !told.includes(key.toLowerCase())))]
}

async function judge({ account, policies, principal, context }, action, resource) {
  const answer = await runSimulation({
    request: { principal, action, resource: { resource, accountId: account }, contextVariables: context },
    identityPolicies: policies.map((policy, at) => ({ name: `p${at}`, policy })),
    // A key's own policy hands over to IAM.
    resourcePolicy: resource.includes(':key/')
      ? { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: 'kms:*', Resource: '*' }] }
      : undefined,
    serviceControlPolicies: [], resourceControlPolicies: [],
  }, {})
  // It cannot tell the ARN of a plan from that of a vault: whether anything allows the action has to do.
  const ambiguous = answer.errors?.message === 'multiple.resource.types'
  const named = policies.flatMap((policy) => policy.Statement).some((statement) => list(statement.Action).includes(action))
  // An action that is not on such an object has no result.
  const unclear = answer.overallResult === undefined
  const decision = ambiguous && named ? 'allowed' : DECISIONS[answer.overallResult] ?? 'implicitDeny'
  return { action, arn: resource, decision, unclear, missing: decision === 'allowed' ? [] : missing(policies, action, context) }
}

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line)
  const answers = []
  for (const action of question.actions) for (const arn of question.arns) answers.push(await judge(question, action, arn))
  console.log(JSON.stringify(answers))
}
