// documents.mjs - openapi.yaml and asyncapi.yaml are valid, and their examples are.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Validator } from "@seriousme/openapi-schema-validator";
import Ajv from "ajv";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { parse } from "yaml";

const require = createRequire(import.meta.url);
const text = (name) => readFileSync(new URL(`../../schema/${name}`, import.meta.url), "utf8");
const eventSchema = JSON.parse(text("ai_progress.schema.json"));
const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false });
addFormats(ajv);
const isEvent = ajv.compile(eventSchema);

function walk(node, visit, path = "") {
  if (node === null || typeof node !== "object") return;
  visit(node, path);
  for (const [key, value] of Object.entries(node)) walk(value, visit, `${path}/${key}`);
}

// Every reference leads somewhere, inside the document or to the event schema.
function checkReferences(document, name) {
  walk(document, (node, path) => {
    if (typeof node.$ref !== "string") return;
    if (node.$ref === "./ai_progress.schema.json") return;
    assert.ok(node.$ref.startsWith("#/"), `${name}${path}: odd reference ${node.$ref}`);
    let at = document;
    for (const part of node.$ref.slice(2).split("/"))
      at = at?.[part.replaceAll("~1", "/").replaceAll("~0", "~")];
    assert.notEqual(at, undefined, `${name}${path}: ${node.$ref} leads nowhere`);
  });
}

const openapi = parse(text("openapi.yaml"));
checkReferences(openapi, "openapi.yaml");
// The validator knows references inside one document only.
const whole = structuredClone(openapi);
walk(whole, (node) => {
  if (node.$ref === "./ai_progress.schema.json") node.$ref = "#/components/schemas/event";
});
whole.components.schemas.event = { type: "object" };
const answer = await new Validator().validate(whole);
assert.ok(answer.valid, `openapi.yaml: ${JSON.stringify(answer.errors)}`);
assert.deepEqual(Object.keys(openapi.paths).sort(), [
  "/api/streaming/stream", "/api/v1/auth/ping", "/api/v1/chat",
  "/api/v2/chat/streaming/continue", "/api/v2/chat/streaming/stream",
  "/healthz", "/v1/chat/completions", "/v1/events", "/v1/models", "/v1/tasks", "/v1/tasks/{task_id}", "/v1/tasks/{task_id}/continue", "/v1/tasks/{task_id}/events",
  "/v1/tasks/{task_id}/points",
  "/v1/telemetry",
]);
const operations = Object.values(openapi.paths).flatMap((path) =>
  Object.values(path).map((operation) => operation.operationId).filter(Boolean));
assert.equal(new Set(operations).size, operations.length, "operation ids are unique");
const publish = openapi.paths["/v1/tasks/{task_id}/events"].post;
const example = publish.requestBody.content["application/json"].examples.text.value;
assert.ok(isEvent(example), "the publishing example is a good event");
for (const name of ["site", "task_id"])
  assert.equal(openapi.components.schemas[name].pattern, eventSchema.$defs[name].pattern,
    `${name} has one form`);

const asyncapi = parse(text("asyncapi.yaml"));
checkReferences(asyncapi, "asyncapi.yaml");
const asyncAjv = new Ajv({ strict: false, validateFormats: false, meta: false, validateSchema: false });
const isAsyncApi = asyncAjv.compile(require("@asyncapi/specs/schemas/3.0.0-without-$id.json"));
assert.ok(isAsyncApi(asyncapi), `asyncapi.yaml: ${JSON.stringify(isAsyncApi.errors?.slice(0, 3))}`);
for (const one of asyncapi.components.messages.ai_progress.examples)
  assert.ok(isEvent(one.payload), `asyncapi example ${one.name} is a good event`);

console.log(`openapi.yaml: ${operations.length} operations; asyncapi.yaml: ${
  Object.keys(asyncapi.channels).length} channels; both valid`);
