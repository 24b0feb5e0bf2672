// How much a configuration may hold, each bound with a name and its reason. On the change's way. A number here is what
// the program was built and tested for, not a wish; an operator who hits one is told its name and value.

/** Bytes of a configuration file. Four thousand pools of twenty targets are about 8 MiB. */
export const fileBytesMax = 16 * 1024 * 1024;

/** Collections within collections. The deepest place that the schema knows is 8 levels down. */
export const nestingMax = 32;

/** Values in a file once its aliases are written out. Stops an alias that multiplies aliases. */
export const valuesMax = 1_000_000;

/** Problems collected before the rest is only counted. */
export const problemsMax = 1000;

export const listenersMax = 256;
export const poolsMax = 4096;
export const targetsPerPoolMax = 10_000;
export const routesPerListenerMax = 1000;

/** Regular expressions of one listener: they are tried one after the other. */
export const regexRoutesPerListenerMax = 100;
export const regexLengthMax = 512;

export const nameLengthMax = 64;
export const headerRulesPerRouteMax = 64;
export const headerNameLengthMax = 256;
export const headerValueLengthMax = 4096;
export const pathLengthMax = 4096;
export const trustedProxiesMax = 1000;
export const retryStatusesMax = 32;

/** Bytes of a fixed response: it is kept ready in every worker. */
export const respondBodyBytesMax = 64 * 1024;

export const workersMax = 1024;
export const weightMax = 65_535;
export const connectionsMax = 1_000_000;
export const backlogMax = 65_535;

/** Flows of one UDP listener: each holds a socket towards its target, and descriptors end near here (fs.nr_open). */
export const flowsMax = 1_000_000;

/** Datagrams of a target that may be waited for in one flow. */
export const responsesMax = 1_000_000;

export const triesMax = 100;

/** Heads are put together in a fixed area of memory, so a head cannot grow beyond this. */
export const headerBytesMax = 60 * 1024;
export const headerBytesMin = 1024;
export const headerCountMax = 200;

/** The longest duration: 24 days, the most that a 32-bit count of milliseconds holds. */
export const durationMax = 24 * 24 * 3_600_000;

/** Bytes that a body limit may name: 1 TiB. */
export const bodyBytesMax = 2 ** 40;

/** Bytes of a file's path: PATH_MAX less its final NUL, linux/limits.h. */
export const filePathBytesMax = 4095;

/** Bytes of a unix socket's path: `sun_path` less its final NUL, unix(7). */
export const socketPathBytesMax = 107;

/** Of health checks: bytes that a probe sends or looks for, words of a command, bytes of one. */
export const probeBytesMax = 8192;
export const commandWordsMax = 64;
export const commandWordBytesMax = 4096;
export const statusRangesMax = 32;

/** Of sources. A store's servers are a handful. */
export const endpointsMax = 16;
/** Bytes of a key, Consul's own limit. */
export const storePrefixBytesMax = 512;
export const serviceTagsMax = 32;
export const storeNameBytesMax = 256;
/** How long a blocking query may be held open: Consul cuts what is longer. */
export const storeWaitMax = 10 * 60_000;
export const nameServersMax = 8;

/** Of floating addresses. The count in an advertisement has 8 bits (RFC 9568 section 5.2.5). */
export const virtualAddressesMax = 255;
/** One advertisement over IPv6 fits the smallest MTU, 1280 bytes: fragments have no place in an election. */
export const virtualAddresses6Max = 77;
export const silentAddressesMax = 1024;
export const virtualRoutersMax = 512;
export const unicastPeersMax = 64;
export const tracksMax = 256;
export const tracksPerRouterMax = 64;
export const syncGroupsMax = 256;
export const servicesMax = 64;
export const notifyCommandsMax = 16;
export const recipientsMax = 32;
/** Bytes of an interface's name: IFNAMSIZ less its final NUL, linux/if.h. */
export const interfaceNameBytesMax = 15;
export const userNameLengthMax = 32;
