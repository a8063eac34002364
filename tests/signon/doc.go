// Package signon goes through the edge's login as a browser does: the real nginx and the real
// oauth2-proxy with what a stack with edgeLogin oidc renders, and the real dex as the provider.
package signon
