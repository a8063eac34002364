// Package spans runs the real Jaeger with the files of a recorded stack that keeps its traces
// in an Elasticsearch. The server in its place is this package's own: it answers what Jaeger
// asks, keeps what it is sent, and is no Elasticsearch.
package spans
