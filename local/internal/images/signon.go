package images

// DexVersion is the release whose commit local/modules/dex pins: its own tags are no
// versions of a Go module.
const DexVersion = "2.45.1"

// oauth2Proxy is the edge's login, of stacks that have one.
func oauth2Proxy() Image {
	return static("/bin/oauth2-proxy", "oauth2-proxy", "65532:65532").
		with(func(i *Image) { i.Optional = true }).
		row("oauth2-proxy", "Go module github.com/oauth2-proxy/oauth2-proxy/v7", "7.15.6", "", "quay.io/oauth2-proxy/oauth2-proxy:v7.15.6")
}

// dex is a provider of OpenID Connect, which logins are tested with.
func dex() Image {
	return static("/usr/local/bin/dex", "dex", "1001:1001").
		with(func(i *Image) { i.Optional = true }).
		row("dex", "Go module github.com/dexidp/dex", DexVersion, "without SQLite, and with no entrypoint that fills templates", "ghcr.io/dexidp/dex:v"+DexVersion)
}
