// Package images builds a container image on a Docker engine and pushes it to a
// registry, as a part of the stack: what is deployed is what the sources beside the
// program say. docker.RemoteImage and docker.RegistryImage do it.
package images

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/distribution/reference"
	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// versionDigits is the length of the content digest in a tag: 48 bits, enough that
// two contents of one repository never meet.
const versionDigits = 12

// Args configure an Image.
type Args struct {
	// Context is the build context, a folder below the one of Pulumi.yaml. It is
	// relative, so that an image is the same in everybody's clone.
	Context string
	// Dockerfile, relative to Context. It gets the build arguments VERSION, the
	// first digits of the content's digest, and REVISION, all of it.
	Dockerfile string
	// Sources are the files and folders of Context that the Dockerfile copies. An
	// edit of one, or of the Dockerfile, builds a new image; nothing else does.
	Sources []string
	// Repository to push to, with its registry and without a tag.
	Repository string
	// Owner ends the tag, after the content's digest: two that push to one
	// repository never replace each other's tags. The stack's name is a good one.
	Owner string
	// Push the image. Without it the image stays on the engine that built it.
	Push bool
}

var tag = regexp.MustCompile("^" + reference.TagRegexp.String() + "$")

func (a *Args) validate() error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("image: "+format, v...)) }
	if !filepath.IsLocal(a.Context) {
		problem("Context %q: name a folder below the one of Pulumi.yaml, e.g. docker", a.Context)
	}
	if !filepath.IsLocal(a.Dockerfile) {
		problem("Dockerfile %q: name a file below Context, e.g. Dockerfile", a.Dockerfile)
	}
	if len(a.Sources) == 0 {
		problem("Sources are missing: name what of Context the Dockerfile copies, or . for all of it")
	}
	for _, s := range a.Sources {
		if !filepath.IsLocal(s) {
			problem("Sources: %q is not below Context", s)
		}
	}
	if named, err := reference.ParseNormalizedNamed(a.Repository); err != nil {
		problem("Repository %q: %w", a.Repository, err)
	} else if !reference.IsNameOnly(named) {
		problem("Repository %q: leave the tag and the digest out, they follow from the content", a.Repository)
	}
	if !tag.MatchString(fmt.Sprintf("%0*d-%s", versionDigits, 0, a.Owner)) {
		problem("Owner %q cannot end a tag: use at most 100 letters, digits, dots, dashes and underscores", a.Owner)
	}
	return errors.Join(problems...)
}

// Image is one image, built and pushed.
type Image struct {
	pulumi.ResourceState

	// Reference is what to deploy: the repository with the digest that the registry
	// gave; for an image that is not pushed its id on the engine.
	Reference pulumi.StringOutput
	// Ready is the last step: what depends on it waits until the image can be
	// pulled, and does not happen if it cannot.
	Ready pulumi.Resource
}

// NewImage builds an image, with the Docker provider among the options. The
// provider's process must run in Pulumi.yaml's folder, as the command line starts it.
func NewImage(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Image, error) {
	if args == nil {
		args = &Args{}
	}
	if err := args.validate(); err != nil {
		return nil, err
	}
	digest, err := Digest(filepath.Join(ctx.RootDirectory(), args.Context), args.Dockerfile, args.Sources...)
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	i := &Image{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Image", name, i, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(i)

	named, err := reference.ParseNormalizedNamed(args.Repository)
	if err != nil {
		return nil, err // validated above
	}
	version := digest[:versionDigits]
	full := pulumi.String(fmt.Sprintf("%s:%s-%s", named.Name(), version, args.Owner))
	content := pulumi.StringMap{"content": pulumi.String(digest)}
	built, err := docker.NewRemoteImage(ctx, name, &docker.RemoteImageArgs{
		Name: full,
		Build: &docker.RemoteImageBuildArgs{
			Context:    pulumi.String(filepath.ToSlash(args.Context)),
			Dockerfile: pulumi.String(filepath.ToSlash(args.Dockerfile)),
			BuildArgs:  pulumi.StringMap{"VERSION": pulumi.String(version), "REVISION": pulumi.String(digest)},
		},
		Triggers: content,
		// Another stack on this engine may use the same image, and the next build
		// takes layers from it.
		KeepLocally: pulumi.Bool(true),
	}, parent)
	if err != nil {
		return nil, err
	}
	i.Reference, i.Ready = built.ImageId, built
	if args.Push {
		pushed, err := docker.NewRegistryImage(ctx, name, &docker.RegistryImageArgs{
			Name: full,
			// By the content, not by the built image's id: an engine that has lost the
			// image builds it again, and that alone neither pushes nor deploys.
			Triggers: content,
			// Pods of an older revision still pull what they name.
			KeepRemotely: pulumi.Bool(true),
		}, parent, pulumi.DependsOn([]pulumi.Resource{built}))
		if err != nil {
			return nil, err
		}
		i.Reference, i.Ready = pulumi.Sprintf("%s@%s", named.Name(), pushed.Sha256Digest), pushed
	}
	return i, ctx.RegisterResourceOutputs(i, pulumi.Map{"reference": i.Reference})
}
