// Helpers for the suites around the AWS SDK: an environment without the developer's own AWS settings,
// invalid keys, and a request handler that records the requests sent.

import { NodeHttpHandler } from '@smithy/node-http-handler';

for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
Object.assign(process.env, {
  AWS_CONFIG_FILE: '/nonexistent/config',
  AWS_SHARED_CREDENTIALS_FILE: '/nonexistent/credentials',
  AWS_EC2_METADATA_DISABLED: 'true',
});

export const REGION = 'us-east-1';
export const KEYS = { accessKeyId: 'AKIDDUMMY', secretAccessKey: 'dummy' };

/** HTTP/1.1, in place of the SDK's own HTTP/2; `sent` holds the headers of every request, as they left. */
export class Remembering extends NodeHttpHandler {
  sent = [];

  handle(request, options) {
    this.sent.push(Object.fromEntries(Object.entries(request.headers).map(([key, value]) => [key.toLowerCase(), value])));
    return super.handle(request, options);
  }
}

/** Runs `body` with additional environment variables, which are removed afterwards. */
export async function withEnvironment(variables, body) {
  Object.assign(process.env, variables);
  try {
    return await body();
  } finally {
    for (const name of Object.keys(variables)) delete process.env[name];
  }
}
