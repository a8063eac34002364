package settings

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
)

// Release says which versions of a product an image may have. Its tag tells, where it
// is one of the product's own; nobody knows what is in another one.
type Release struct {
	// Product is what runs in the image.
	Product string
	// Repositories are the names of those whose tags begin with the product's version.
	Repositories []string
	// Mark comes before the version where tags begin with that of something else.
	Mark string
	// Least is the first version that will do, Only the only one; one of them.
	Least, Only string
}

// Of bounds the version of an image. An image whose tag does not tell it passes with a
// warning.
func Of(r Release) Option {
	return func(s *Setting) {
		s.must(Image)
		s.release = &r
	}
}

// wanted says in words what will do.
func (r Release) wanted() string {
	if r.Only != "" {
		return r.Product + " " + r.Only
	}
	return fmt.Sprintf("%s %s or later", r.Product, r.Least)
}

// version is what an image's reference tells of the product's version; "" for nothing.
func (r Release) version(image string) string {
	ref, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return ""
	}
	tagged, ok := ref.(reference.Tagged)
	if !ok {
		return ""
	}
	path := reference.Path(ref)
	name := path[strings.LastIndex(path, "/")+1:]
	var patterns []string
	if r.Mark != "" {
		patterns = append(patterns, `(?:^|[-_.])`+regexp.QuoteMeta(r.Mark)+`(\d+(?:\.\d+)*)`)
	}
	if slices.Contains(r.Repositories, name) {
		patterns = append(patterns, `^v?(\d+(?:\.\d+)*)(?:[-_+]|$|\.[a-z]|[a-z])`)
	}
	for _, p := range patterns {
		if m := regexp.MustCompile(p).FindStringSubmatch(tagged.Tag()); m != nil {
			return m[1]
		}
	}
	return ""
}

// open tells whether a tag names a line of versions, of which some will do and some not: a
// 1 that may be 1.28.
func (r Release) open(version string) bool {
	return r.Least != "" && strings.HasPrefix(r.Least, version+".")
}

// fits tells whether a version will do.
func (r Release) fits(version string) bool {
	if r.Only != "" {
		return compare(version, r.Only, true) == 0
	}
	return compare(version, r.Least, false) >= 0
}

// compare orders versions by their numbers; with prefix, what b does not name counts
// nothing.
func compare(a, b string, prefix bool) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		if i >= len(bs) && prefix {
			return 0
		}
		if d := part(as, i) - part(bs, i); d != 0 {
			return d
		}
	}
	return 0
}

func part(version []string, i int) int {
	if i >= len(version) {
		return 0
	}
	n, err := strconv.Atoi(version[i])
	if err != nil {
		return 0 // digits that no release has ever had
	}
	return n
}

// checkRelease judges an image by its tag.
func (p *Problems) checkRelease(s *Setting, image string) {
	r := *s.release
	switch v := r.version(image); {
	case v == "" || r.open(v):
		p.Warn(s.Key, "%q does not tell which %s it has: %s is needed", image, r.Product, r.wanted())
	case !r.fits(v):
		p.Add(s.Key, "%q has %s %s: name an image with %s", image, r.Product, v, r.wanted())
	}
}
