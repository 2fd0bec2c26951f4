import { fileURLToPath } from 'node:url';

import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

// The service of proto/echo.proto, read when the program starts: nothing is generated.
export const serviceName = 'grpcbalance.echo.v1.Echo';
export const service = loadSync(fileURLToPath(new URL('../proto/echo.proto', import.meta.url)))[serviceName];
export const EchoClient = grpc.makeGenericClientConstructor(service, serviceName);
