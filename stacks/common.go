package stacks

import (
	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
)

// common is what a stack has wherever it runs: its images and its credentials.
type common struct {
	*Stack
	images      *application
	credentials *platform.Credentials
}

// newCommon generates the credentials, and gives them and the images to their users.
func newCommon(ctx *pulumi.Context, s *Stack, engine *docker.Provider) (*common, error) {
	images, err := newApplication(ctx, s, engine)
	if err != nil {
		return nil, err
	}
	credentials, err := platform.NewCredentials(ctx, "credentials", &platform.CredentialsArgs{
		Protect: s.Platform.Protect, Members: s.Target == room.Kubernetes, Words: s.words, Former: s.formerWords,
		Archived:  s.Target == room.DockerHost && s.Database.Archived,
		Authority: s.authority, FormerAuthority: s.formerAuthority,
	}, images.first...)
	if err != nil {
		return nil, err
	}
	s.databaseCredentials(credentials)
	s.backupCredentials(credentials)
	s.cacheCredentials(credentials)
	s.backendCredentials(credentials)
	s.wireCredentials(credentials)
	s.edgeCredentials(credentials)
	s.monitoringCredentials(credentials)
	return &common{Stack: s, images: images, credentials: credentials}, nil
}

// first lets a resource wait for the images that the stack builds.
func (c *common) first() []pulumi.ResourceOption { return c.images.first }

// guard comes after everything else that the stack consists of.
func (c *common) guard(ctx *pulumi.Context, all []pulumi.Resource) error {
	_, err := platform.NewGuard(ctx, "guard", &platform.GuardArgs{Protect: c.Platform.Protect, Guarded: all}, c.first()...)
	return err
}

// optionalSecret is nil for an empty value, else a Pulumi secret.
func optionalSecret(value string) pulumi.StringInput {
	if value == "" {
		return nil
	}
	return pulumi.ToSecret(pulumi.String(value)).(pulumi.StringOutput)
}
