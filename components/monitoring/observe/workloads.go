package observe

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Kubernetes names a pod after its workload: with a number, or with one or two parts of
// letters that spell no word (k8s.io/apimachinery/pkg/util/rand).
const (
	letters   = "[bcdfghjklmnpqrstvwxz2-9]"
	podSuffix = "-([0-9]+|(" + letters + "{6,10}-)?" + letters + "{5})"
)

// The workload of an alert on a pod, an object that has pods, a job or a claim. A job
// that runs again and again has a number behind its name.
const (
	ofPod    = `{{ reReplaceAll "` + podSuffix + `$" "" $labels.pod }}`
	ofObject = `{{ $labels.deployment }}{{ $labels.statefulset }}{{ $labels.horizontalpodautoscaler }}`
	ofJob    = `{{ reReplaceAll "-[0-9]+$" "" $labels.job_name }}`
	ofClaim  = `{{ $labels.persistentvolumeclaim }}`
)

// Of a pod that does not work three alerts tell: that nobody scrapes it, that it is not ready
// and that its workload has too few. The first that fires is enough, and less than one that
// tells why.
const (
	targetDown      = "TargetDown"
	notReady        = "PodNotReady"
	replicasMissing = "ReplicasMissing"
)

// why lets a rule that tells why a pod does not work silence those that tell that it does not.
func why(r rule.Rule) rule.Rule {
	r.Silences = []rule.Silence{rule.OnSameWorkload(targetDown, notReady, replicasMissing)}
	return r
}

// quotaUsed is the used share of each resource of a quota.
const quotaUsed = `kube_resourcequota{type="used"} / ignoring(type) (kube_resourcequota{type="hard"} > 0)`

// quotaNearlyUsed leaves out of the stack's own quota what it counts out to the last one, and
// what comes with nothing but an update, which makes it larger before.
func (w Watched) quotaNearlyUsed() string {
	expr := fmt.Sprintf(`%s > %g`, quotaUsed, w.Limits.Quota)
	if w.Quota != "" {
		expr += fmt.Sprintf(` unless ignoring(type) kube_resourcequota{resourcequota=%q,resource=~"persistentvolumeclaims|requests.storage|services",type="hard"}`, w.Quota)
	}
	return expr
}

// workloads tells what Kubernetes does not get done.
func (w Watched) workloads() []rule.Rule {
	about := func(workload string) rule.About {
		return rule.About{Owner: rule.Platform, Workload: workload, Dashboard: Platform.UID}
	}
	all := about(ofPod).Alerts(append(pods(), w.containers()...)...)
	all = append(all, about(ofObject).Alerts(w.objects()...)...)
	all = append(all, about(ofJob).Alerts(
		rule.Alert("JobFailed", rule.Warning, "", `kube_job_failed{condition="true"} == 1`,
			"A job has failed",
			"The job {{ $labels.job_name }} has failed and is not tried again."),
	)...)
	all = append(all, about(ofClaim).Alerts(
		rule.Alert("ClaimPending", rule.Warning, "15m", `kube_persistentvolumeclaim_status_phase{phase="Pending"} == 1`,
			"A claim gets no volume",
			"The claim {{ $labels.persistentvolumeclaim }} waits for a volume for 15 minutes. The pod that uses it cannot start."),
	)...)
	return append(all, about("").Alerts(w.node(),
		rule.Alert("QuotaNearlyUsed", rule.Warning, "15m",
			w.quotaNearlyUsed(),
			"The namespace's quota is nearly used",
			"{{ $value | humanizePercentage }} of {{ $labels.resource }} in the quota {{ $labels.resourcequota }} is used. Pods beyond it are not created."),
	)...)
}

func pods() []rule.Rule {
	waiting := func(reasons string) string {
		return fmt.Sprintf(`max_over_time(kube_pod_container_status_waiting_reason{reason=~%[1]q}[5m]) >= 1 or max_over_time(kube_pod_init_container_status_waiting_reason{reason=~%[1]q}[5m]) >= 1`, reasons)
	}
	unready := rule.Alert(notReady, rule.Warning, "15m",
		`kube_pod_status_ready{condition="true"} == 0 and on(namespace, pod) kube_pod_status_phase{phase=~"Pending|Running|Unknown"} == 1`,
		"A pod does not become ready",
		"Pod {{ $labels.pod }} is not ready for 15 minutes and gets no traffic.")
	unready.Silences = []rule.Silence{rule.OnSameWorkload(replicasMissing)}
	return []rule.Rule{
		why(rule.Alert("PodCrashLooping", rule.Warning, "5m", waiting("CrashLoopBackOff"),
			"A container crashes again and again",
			"Container {{ $labels.container }} of pod {{ $labels.pod }} ends soon after every start. Kubernetes waits longer each time before it tries again.")),
		why(rule.Alert("ImagePullFailing", rule.Warning, "10m", waiting("ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull"),
			"An image cannot be pulled",
			"The image of container {{ $labels.container }} of pod {{ $labels.pod }} cannot be had ({{ $labels.reason }}).")),
		why(rule.Alert("ContainerConfigurationInvalid", rule.Warning, "10m", waiting("CreateContainerConfigError|CreateContainerError|RunContainerError"),
			"A container cannot be started",
			"Container {{ $labels.container }} of pod {{ $labels.pod }} cannot be started ({{ $labels.reason }}): something that it names is missing or refused.")),
		rule.Alert("ContainerOutOfMemory", rule.Warning, "",
			`kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1 and on(namespace, pod, container) increase(kube_pod_container_status_restarts_total[30m]) > 0`,
			"A container was killed for its memory",
			"Container {{ $labels.container }} of pod {{ $labels.pod }} went over its memory limit and was killed."),
		unready,
		why(rule.Alert("PodUnschedulable", rule.Warning, "10m", `kube_pod_status_unschedulable == 1`,
			"A pod finds no node",
			"No node has room for pod {{ $labels.pod }}, or none satisfies what it asks for.")),
	}
}

func (w Watched) objects() []rule.Rule {
	return []rule.Rule{
		rule.Alert(replicasMissing, rule.Warning, "15m",
			`kube_deployment_spec_replicas - kube_deployment_status_replicas_available > 0 or kube_statefulset_replicas - kube_statefulset_status_replicas_ready > 0`,
			"{{ $labels.deployment }}{{ $labels.statefulset }} runs with too few pods",
			"{{ $value }} replicas are missing for 15 minutes: pods cannot start, cannot be scheduled, or are not ready."),
		// A StatefulSet has no deadline, so it is given the time that a Deployment has
		// by default, and what pods of ours need to start.
		rule.Alert("RolloutStuck", rule.Warning, "15m",
			`kube_deployment_status_condition{condition="Progressing",status="false"} == 1 or kube_statefulset_replicas - kube_statefulset_status_replicas_updated > 0`,
			"The rollout of {{ $labels.deployment }}{{ $labels.statefulset }} does not end",
			"Pods of {{ $labels.deployment }}{{ $labels.statefulset }} still run as they did before the last change, and no new one became ready in time."),
		// A range of one number is no range that could be at its end.
		rule.Alert("AutoscalerAtMaximum", rule.Warning, "15m",
			`kube_horizontalpodautoscaler_status_current_replicas >= kube_horizontalpodautoscaler_spec_max_replicas and kube_horizontalpodautoscaler_spec_max_replicas > kube_horizontalpodautoscaler_spec_min_replicas`,
			"{{ $labels.horizontalpodautoscaler }} cannot scale further",
			"{{ $labels.horizontalpodautoscaler }} has run at its maximum of {{ $value }} pods for 15 minutes. More load makes it slower."),
		rule.Alert("AutoscalerNotScaling", rule.Warning, "15m", `kube_horizontalpodautoscaler_status_condition{condition="ScalingActive",status="false"} == 1`,
			"{{ $labels.horizontalpodautoscaler }} does not scale",
			"The autoscaler of {{ $labels.horizontalpodautoscaler }} cannot read the usage of its pods, mostly because the metrics server does not answer. The number of pods stays as it is."),
		rule.Alert("AutoscalerFlapping", rule.Warning, "15m",
			fmt.Sprintf(`changes(kube_horizontalpodautoscaler_status_desired_replicas[30m]) > %d`, w.Limits.Flapping),
			"The autoscaler of {{ $labels.horizontalpodautoscaler }} goes up and down",
			"The autoscaler of {{ $labels.horizontalpodautoscaler }} changed the number of pods {{ $value }} times within half an hour. Each change costs starts and drained connections."),
	}
}

// node tells that a node is lost, from the pods on it: a node itself is an object of the
// cluster, which nobody may read here. The kubelet reports a pod and its containers at
// once; once it is gone, Kubernetes takes the pod alone for not ready. There is one alert
// for each workload, and Alertmanager sends them as one. An hour after Kubernetes gave a
// pod up, what became of its workload is told by the workload's own alerts.
func (w Watched) node() rule.Rule {
	const lost = `kube_pod_status_ready{condition="true"} == 0 and on(namespace, pod) min by (namespace, pod) (kube_pod_container_status_ready) == 1` +
		` unless on(namespace, pod) time() - kube_pod_deletion_timestamp > 3600`
	r := rule.Alert("NodeLost", rule.Critical, "2m",
		fmt.Sprintf(`count by (job, namespace, node, workload) (label_replace(kube_pod_info{node!=""} * on(namespace, pod) group_left() (%s), "workload", "$1", "pod", "(.+?)%s"))`,
			lost, podSuffix),
		"A node is lost",
		"The node {{ $labels.node }} does not report any more. {{ $value }} of the pods of {{ $labels.workload }} ran there.")
	r.Silences, r.Loud = []rule.Silence{rule.SameWorkload}, true
	if w.Containers {
		r.Silences = append(r.Silences, rule.Silence{Equal: []string{"node"}}) // its kubelet
	}
	return r
}
