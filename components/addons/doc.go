// Package addons installs what belongs to a cluster and not to one platform on it: by
// upstream's own charts, each into a namespace of its own. Platforms name what they use,
// e.g. an issuer of cert-manager, and take anybody's.
package addons
