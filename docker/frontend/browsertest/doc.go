// Package browsertest looks at the user interface and the real-time dashboard, and at
// Prometheus' own pages of a deployed stack, in a real headless Chromium: it loads the
// pages, sees numbers change without a reload, and fails on any request to another host,
// any console error and any sideways scrolling on a phone. Screenshots are kept.
//
// On its own it serves the built user interface together with a made-up API over
// TLS, under a development CA made for the run:
//
//	npm ci && npm run build && go test ./browsertest
//
// With the tag live the same checks run against a deployed stack, through its edge,
// and no others do:
//
//	UI_URL=https://alphapulse.dev.localhost:30443 \
//	DASHBOARD_URL=https://dashboard.dev.localhost:30443 \
//	PROMETHEUS_URL=https://monitoring.dev.localhost:30443/prometheus PROMETHEUS_PASSWORD=… \
//	CA_FILE=ca.pem go test -count=1 -tags live ./browsertest
//
// What it reads:
//
//	UI_URL, DASHBOARD_URL, PROMETHEUS_URL
//	                       where the sites are (tag live; each is needed by its test)
//	PROMETHEUS_PASSWORD    of the user admin, as the stack's output says (tag live)
//	CA_FILE                PEM file of the CA that signed the edge's certificate (tag live; needed for https)
//	RESOLVE                host=address[:port] pairs, separated by commas, for hosts that no DNS knows (tag live)
//	OUTPUT_DIR             where the screenshots go; default output, beside this file
//	CHROMIUM               the browser's command; default chromium
//
// It needs Debian's packages chromium and libnss3-tools. The CA is imported into a
// certificate store made for the run, so certificates are verified as for a user:
// name, dates and chain.
package browsertest
