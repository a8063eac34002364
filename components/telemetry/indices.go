package telemetry

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/components/workload/content"
)

// agentUser is the uid of the agent's image.
const agentUser = 65532

// indicesSeconds is how long the job may take, the download of its image included. The agent
// itself gives up on an Elasticsearch that does not answer after two minutes.
const indicesSeconds = 540

// indices gives the data streams of the logs in an Elasticsearch a template and a retention
// of their own, before the gateway sends the first line there: a data stream keeps what it was
// made with. The job is called after what it does, so that another retention is another job.
func (a *Args) indices(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) ([]pulumi.Resource, error) {
	if a.Logs.Backend != Elasticsearch {
		return nil, nil
	}
	to := a.logsSink(name)
	retention := fmt.Sprintf("%dh", hours(a.Logs.Store.Retention))
	args := pulumi.StringArray{
		pulumi.String("indices"), pulumi.String("-url"), pulumi.String(to.URL), pulumi.String("-namespace"), a.Namespace, pulumi.String("-retention"), pulumi.String(retention),
	}
	if to.CredentialFile != "" {
		args = append(args, pulumi.String("-key"), pulumi.String(to.CredentialFile))
	}
	if to.CAFile != "" {
		args = append(args, pulumi.String("-ca"), pulumi.String(to.CAFile))
	}
	volumes, mounts := access(map[string]destination{"logs": {a.Logs, to}}, credentialsPath, certificatesPath)
	for _, v := range volumes {
		// One that was refused is tried again as it was, with the key that is set by then.
		v.Files.Live = true
	}
	identity, place := IndicesOf(name), a.Placement
	place.PriorityClass = nil // it holds nothing
	made, err := workload.Pod{Identity: identity, Placement: place, Volumes: volumes}.CreateJobs(ctx, []workload.Job{{
		Name: identity.Name + "-" + content.Digest("", map[string]string{"url": to.URL, "retention": retention}),
		Processes: []workload.Process{{
			Name: "indices", Identity: identity, Image: a.AgentImage, User: agentUser, Args: args, Resources: IndicesResources, Mounts: mounts,
		}},
		DeadlineSeconds: indicesSeconds, Awaited: true, Answers: true,
	}}, opts...)
	if err != nil {
		return nil, fmt.Errorf("data streams of the logs: %w", err)
	}
	return made, nil
}
