package config

// Observed are the resources that kube-state-metrics reads, with their API groups:
// what rules and dashboards query, and all of it namespaced.
var Observed = map[string]string{
	"pods":                     "",
	"persistentvolumeclaims":   "",
	"resourcequotas":           "",
	"jobs":                     "batch",
	"cronjobs":                 "batch",
	"deployments":              "apps",
	"statefulsets":             "apps",
	"horizontalpodautoscalers": "autoscaling",
}
