package ingress

import "github.com/alphapulse/alphapulse-infra/components/ingress/nginx"

// URLs are the public addresses by what is served there: ui, api, dashboard, grafana,
// prometheus, logs and traces, as far as they are routed.
func (a *Args) URLs() map[string]string {
	d := a.withDefaults()
	hosts := nginx.HostsOf(d.Domain)
	port := nginx.PublicPort(d.PublicHTTPSPort)
	urls := map[string]string{"ui": "https://" + hosts.UI + port, "api": "https://" + hosts.API + port}
	if d.Routes.Dashboard != nil {
		urls["dashboard"] = "https://" + hosts.Dashboard + port
	}
	if d.Routes.Grafana != nil {
		urls["grafana"] = "https://" + hosts.Monitoring + port
	}
	if d.Routes.Prometheus != nil && d.PrometheusPassword != nil {
		urls["prometheus"] = "https://" + hosts.Monitoring + port + nginx.PrometheusPath
	}
	if d.Routes.Logs != nil && d.PrometheusPassword != nil {
		urls["logs"] = "https://" + hosts.Monitoring + port + nginx.LogsPath
	}
	if d.Routes.Traces != nil && d.PrometheusPassword != nil {
		urls["traces"] = "https://" + hosts.Monitoring + port + nginx.TracesPath
	}
	return urls
}
