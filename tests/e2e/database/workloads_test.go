//go:build cluster

package database

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/alphapulse/alphapulse-infra/components/database/patroni"
	"github.com/alphapulse/alphapulse-infra/components/database/pgbackrest"
	"github.com/alphapulse/alphapulse-infra/components/database/pgbouncer"
)

// jobName is on the pods that take backups.
const jobName = name + "-backup-job"

// databaseObjects are the members and what leads to them.
func (p *plan) databaseObjects() []runtime.Object {
	one := intstr.FromInt32(1)
	return []runtime.Object{
		&corev1.ServiceAccount{ObjectMeta: meta(name, nil)},
		&rbacv1.Role{ObjectMeta: meta(name, nil), Rules: patroni.Rules(p.scope())},
		&rbacv1.RoleBinding{ObjectMeta: meta(name, nil), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: name, Namespace: namespace}}},
		service(name, p.ours(patroni.RoleLabel, patroni.Primary), false, false, 5432, patroni.Port),
		service(readName, p.ours(patroni.RoleLabel, patroni.Replica), false, false, 5432),
		service(members, p.ours(), true, true, 5432, patroni.Port),
		&policyv1.PodDisruptionBudget{ObjectMeta: meta(name, nil), Spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &one, Selector: &metav1.LabelSelector{MatchLabels: selector(name)}}},
		p.statefulSet(),
	}
}

func (p *plan) statefulSet() *appsv1.StatefulSet {
	replicas, grace, no := int32(p.instances), int64(90), false
	backrest := envs(pgbackrest.Env(name))
	control := []corev1.EnvVar{env("CONTROL_USER", "control"), secretEnv("CONTROL_PASSWORD", name+"-credentials", "control")}
	server := container(corev1.Container{
		Name: "postgresql", Image: haImage, Command: []string{"patroni", "/etc/patroni/patroni.yml"},
		Env: append(append([]corev1.EnvVar{
			fieldEnv("PATRONI_NAME", "metadata.name"),
			fieldEnv("PATRONI_KUBERNETES_NAMESPACE", "metadata.namespace"),
			fieldEnv("PATRONI_KUBERNETES_POD_IP", "status.podIP"),
			fieldEnv("POD_IP", "status.podIP"),
			env("PATRONI_RESTAPI_CONNECT_ADDRESS", "$(POD_IP):8008"),
			env("PATRONI_POSTGRESQL_CONNECT_ADDRESS", "$(POD_IP):5432"),
			secretEnv("PATRONI_REPLICATION_PASSWORD", name+"-credentials", "replication"),
			secretEnv("PATRONI_REWIND_PASSWORD", name+"-credentials", "rewind"),
			env("PATRONI_RESTAPI_USERNAME", "control"),
			secretEnv("PATRONI_RESTAPI_PASSWORD", name+"-credentials", "control"),
		}, control...), backrest...),
		Ports:          []corev1.ContainerPort{{ContainerPort: 5432}, {ContainerPort: patroni.Port}},
		StartupProbe:   httpProbe("/liveness", patroni.Port, 1, 3, 120),
		ReadinessProbe: httpProbe("/read-only-quorum", patroni.Port, 2, 3, 2),
		LivenessProbe:  httpProbe("/liveness", patroni.Port, 10, 5, 6),
		Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{
			Command: []string{agentDir + "/agent", "handover", "-poolers", poolerPods},
		}}},
		VolumeMounts: []corev1.VolumeMount{
			mount("data", volumeRoot), mount("socket", socketDir), mount("shm", "/dev/shm"), mount("tmp", "/tmp"), mount("agent", agentDir),
			mount("patroni", "/etc/patroni"), mount("tls", tlsDir), mount("pgbackrest", pgbackrest.ConfigDir),
			mount("pgbackrest-secret", pgbackrest.SecretDir), mount("pgbackrest-tls", pgbackrest.TLSDir),
		},
	}, "200Mi", "2", "1Gi")
	agent := container(corev1.Container{
		Name: "agent", Image: agentImage, Args: []string{"member", fmt.Sprint("-copies=", min(1, p.instances-1))},
		Env:            control,
		ReadinessProbe: httpProbe("/ready", 8010, 2, 3, 1),
		VolumeMounts:   []corev1.VolumeMount{mount("socket", socketDir), mount("roles", "/etc/alphapulse/roles"), mount("logins", "/etc/alphapulse/used"), mount("dynamic", "/etc/patroni")},
	}, "16Mi", "200m", "64Mi")
	backup := container(corev1.Container{
		Name: "pgbackrest", Image: haImage, Command: []string{"pgbackrest", "server"}, Env: backrest,
		VolumeMounts: []corev1.VolumeMount{
			mount("data", volumeRoot), mount("socket", socketDir), mount("backup-tmp", "/tmp"), mount("pgbackrest", pgbackrest.ConfigDir),
			mount("pgbackrest-secret", pgbackrest.SecretDir), mount("pgbackrest-tls", pgbackrest.TLSDir),
		},
	}, "16Mi", "1", "256Mi")
	return &appsv1.StatefulSet{ObjectMeta: meta(p.scope(), nil), Spec: appsv1.StatefulSetSpec{
		Replicas: &replicas, ServiceName: members, PodManagementPolicy: appsv1.ParallelPodManagement,
		Selector: &metav1.LabelSelector{MatchLabels: p.ours()},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: p.ours(), Annotations: map[string]string{"revision": p.revision}},
			Spec: corev1.PodSpec{
				ServiceAccountName: name, EnableServiceLinks: &no, TerminationGracePeriodSeconds: &grace, SecurityContext: podSecurity(1000, 1000),
				InitContainers: []corev1.Container{container(corev1.Container{
					Name: "agent-install", Image: agentImage, Args: []string{"install", agentDir}, VolumeMounts: []corev1.VolumeMount{mount("agent", agentDir)},
				}, "16Mi", "1", "64Mi")},
				Containers: []corev1.Container{server, agent, backup},
				Volumes: []corev1.Volume{
					emptyVolume("socket", ""), emptyVolume("shm", corev1.StorageMediumMemory), emptyVolume("tmp", ""), emptyVolume("backup-tmp", ""), emptyVolume("agent", ""),
					configVolume("patroni", name+"-patroni"), configVolume("dynamic", name+"-dynamic"), configVolume("logins", name+"-logins"), configVolume("pgbackrest", name+"-pgbackrest"),
					secretVolume("pgbackrest-secret", name+"-pgbackrest-secret"), secretVolume("pgbackrest-tls", name+"-pgbackrest-tls"),
					secretVolume("tls", name+"-tls"), secretVolume("roles", name+"-roles"),
				},
			},
		},
		VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: claim("4Gi")}},
	}}
}

func claim(size string) corev1.PersistentVolumeClaimSpec {
	return corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse(size)}},
	}
}

// poolerObjects are PgBouncer with the agent beside it.
func (p *plan) poolerObjects() []runtime.Object {
	replicas, grace, no, none, one := int32(p.poolers), int64(60), false, intstr.FromInt32(0), intstr.FromInt32(1)
	always := corev1.ContainerRestartPolicyAlways
	shared := []corev1.VolumeMount{mount("console", pgbouncer.SocketDir), mount("primary", pgbouncer.PrimaryDir), mount("standby", pgbouncer.StandbyDir)}
	bouncer := container(corev1.Container{
		Name: "pgbouncer", Image: poolerImage, Command: []string{"pgbouncer", pgbouncer.ConfigDir + "/pgbouncer.ini"},
		Ports:          []corev1.ContainerPort{{ContainerPort: pgbouncer.Port}},
		ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(pgbouncer.Port)}}, PeriodSeconds: 1},
		VolumeMounts:   append([]corev1.VolumeMount{mount("config", pgbouncer.ConfigDir), mount("tls", pgbouncer.TLSDir)}, shared...),
	}, "16Mi", "1", "128Mi")
	// It starts before PgBouncer and ends after it: every connection goes through it.
	agent := container(corev1.Container{
		Name: "agent", Image: agentImage, RestartPolicy: &always,
		Args:         []string{"pooler", "-members", members, "-service", name, "-ca", pgbouncer.TLSDir + "/ca.crt"},
		Env:          []corev1.EnvVar{env("CONTROL_USER", "control"), secretEnv("CONTROL_PASSWORD", name+"-credentials", "control")},
		VolumeMounts: append([]corev1.VolumeMount{mount("tls", pgbouncer.TLSDir)}, shared...),
	}, "16Mi", "1", "64Mi")
	return []runtime.Object{
		service(poolerName, selector(poolerName), false, false, pgbouncer.Port),
		service(poolerPods, selector(poolerName), true, true, pgbouncer.ControlPort),
		&appsv1.Deployment{ObjectMeta: meta(poolerName, nil), Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: selector(poolerName)},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &none, MaxSurge: &one}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: selector(poolerName)}, Spec: corev1.PodSpec{
				AutomountServiceAccountToken: &no, EnableServiceLinks: &no, TerminationGracePeriodSeconds: &grace, SecurityContext: podSecurity(998, 996),
				InitContainers: []corev1.Container{agent}, Containers: []corev1.Container{bouncer},
				Volumes: []corev1.Volume{
					emptyVolume("console", ""), emptyVolume("primary", ""), emptyVolume("standby", ""), secretVolume("config", poolerName), secretVolume("tls", poolerName+"-tls"),
				},
			}},
		}},
	}
}

// backupObjects are an S3 server on a volume, and the schedules, which the tests start
// themselves.
func (p *plan) backupObjects() []runtime.Object {
	replicas, no := int32(1), false
	all := []runtime.Object{
		&corev1.PersistentVolumeClaim{ObjectMeta: meta(s3Name, nil), Spec: claim("8Gi")},
		service(s3Name, selector(s3Name), false, false, 7070),
		&appsv1.Deployment{ObjectMeta: meta(s3Name, nil), Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: selector(s3Name)}, Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: selector(s3Name)}, Spec: corev1.PodSpec{
				AutomountServiceAccountToken: &no, EnableServiceLinks: &no, SecurityContext: podSecurity(1000, 1000),
				InitContainers: []corev1.Container{container(corev1.Container{
					Name: "bucket", Image: s3Image, Command: []string{"mkdir", "-p", "/data/" + bucket}, VolumeMounts: []corev1.VolumeMount{mount("data", "/data")},
				}, "8Mi", "1", "32Mi")},
				Containers: []corev1.Container{container(corev1.Container{
					Name: "versitygw", Image: s3Image,
					Args:           []string{"--port", ":7070", "--cert", "/etc/tls/tls.crt", "--key", "/etc/tls/tls.key", "--health", "/health", "posix", "/data"},
					Env:            []corev1.EnvVar{secretEnv("ROOT_ACCESS_KEY", s3Name, "key"), secretEnv("ROOT_SECRET_KEY", s3Name, "secret")},
					Ports:          []corev1.ContainerPort{{ContainerPort: 7070}},
					ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(7070)}}, PeriodSeconds: 1},
					VolumeMounts:   []corev1.VolumeMount{mount("data", "/data"), mount("tls", "/etc/tls"), mount("tmp", "/tmp")},
				}, "32Mi", "1", "256Mi")},
				Volumes: []corev1.Volume{
					{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: s3Name}}},
					secretVolume("tls", s3Name+"-tls"), emptyVolume("tmp", ""),
				},
			}},
		}},
	}
	for kind, command := range map[string][]string{
		"stanza": {"pgbackrest", "stanza-create"}, "full": {"pgbackrest", "--type=full", "backup"}, "incr": {"pgbackrest", "--type=incr", "backup"},
	} {
		suspend := true
		all = append(all, &batchv1.CronJob{ObjectMeta: meta(name+"-"+kind, nil), Spec: batchv1.CronJobSpec{
			Schedule: "0 0 1 1 *", Suspend: &suspend, ConcurrencyPolicy: batchv1.ForbidConcurrent,
			JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{BackoffLimit: new(int32), Template: p.backupPod(command)}},
		}})
	}
	return all
}

func (p *plan) backupPod(command []string) corev1.PodTemplateSpec {
	no := false
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: selector(jobName)}, Spec: corev1.PodSpec{
		AutomountServiceAccountToken: &no, EnableServiceLinks: &no, SecurityContext: podSecurity(1000, 1000), RestartPolicy: corev1.RestartPolicyNever,
		Containers: []corev1.Container{container(corev1.Container{
			Name: "pgbackrest", Image: haImage, Command: command, Env: envs(pgbackrest.Env(name)),
			VolumeMounts: []corev1.VolumeMount{
				mount("tmp", "/tmp"), mount("pgbackrest", pgbackrest.ConfigDir), mount("pgbackrest-secret", pgbackrest.SecretDir), mount("pgbackrest-tls", pgbackrest.TLSDir),
			},
		}, "64Mi", "1", "512Mi")},
		Volumes: []corev1.Volume{
			emptyVolume("tmp", ""), configVolume("pgbackrest", name+"-pgbackrest-host"),
			secretVolume("pgbackrest-secret", name+"-pgbackrest-secret"), secretVolume("pgbackrest-tls", name+"-pgbackrest-tls"),
		},
	}}
}

// restorePod runs the agent beside pgBackRest's and PostgreSQL's programs, on a volume.
func (p *plan) restorePod(volume corev1.VolumeSource, args ...string) corev1.PodTemplateSpec {
	no := false
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: selector(jobName)}, Spec: corev1.PodSpec{
		AutomountServiceAccountToken: &no, EnableServiceLinks: &no, SecurityContext: podSecurity(1000, 1000), RestartPolicy: corev1.RestartPolicyNever,
		InitContainers: []corev1.Container{container(corev1.Container{
			Name: "agent-install", Image: agentImage, Args: []string{"install", agentDir}, VolumeMounts: []corev1.VolumeMount{mount("agent", agentDir)},
		}, "16Mi", "1", "64Mi")},
		Containers: []corev1.Container{container(corev1.Container{
			Name: "restore", Image: haImage, Command: append([]string{agentDir + "/agent"}, args...), Env: append(envs(pgbackrest.Env(name)), env("PGDATA", dataDir)),
			VolumeMounts: []corev1.VolumeMount{
				mount("data", volumeRoot), mount("tmp", "/tmp"), mount("shm", "/dev/shm"), mount("agent", agentDir), mount("pgbackrest", pgbackrest.ConfigDir),
				mount("pgbackrest-secret", pgbackrest.SecretDir), mount("pgbackrest-tls", pgbackrest.TLSDir),
			},
		}, "200Mi", "2", "1Gi")},
		Volumes: []corev1.Volume{
			{Name: "data", VolumeSource: volume}, emptyVolume("tmp", ""), emptyVolume("agent", ""), emptyVolume("shm", corev1.StorageMediumMemory),
			configVolume("pgbackrest", name+"-pgbackrest"), secretVolume("pgbackrest-secret", name+"-pgbackrest-secret"), secretVolume("pgbackrest-tls", name+"-pgbackrest-tls"),
		},
	}}
}
