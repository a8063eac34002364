package stacks

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// Rotation is which value of a credential there is.
type Rotation struct {
	// Now is the word of the present value, and Before that of the one before it; "" for
	// the first.
	Now, Before string
	// Number counts the values that there have been, from 0 on, of the stack's own CA.
	Number int
}

// outputRotations is the stack output that the next update reads back.
const outputRotations = "rotations"

func (s *Stack) rotationSettings(set *settings.Set) {
	g := set.Group("Rotation", "Credentials that are made anew. docs/operations.md says what happens then.")
	g.Object("rotate", "A word for each credential that is not to have its first value, such as database: 2027-01. Another word makes another value: "+
		strings.Join(slices.Sorted(maps.Keys(platform.Rotated)), ", ")+".", s.readWords)
}

// word is short enough to be a part of a role's name.
var word = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$`)

func (s *Stack) readWords(raw string) error {
	s.words = map[string]string{}
	if err := json.Unmarshal([]byte(raw), &s.words); err != nil {
		return errors.New("it is not an object of words: set one by `pulumi config set --path rotate.database 2027-01`, quoted in a file")
	}
	var problems []error
	for _, credential := range slices.Sorted(maps.Keys(s.words)) {
		if _, ok := platform.Rotated[credential]; !ok {
			problems = append(problems, fmt.Errorf("%s: there is no such credential: choose from %s", credential, strings.Join(slices.Sorted(maps.Keys(platform.Rotated)), ", ")))
		}
		if w := s.words[credential]; !word.MatchString(w) {
			problems = append(problems, fmt.Errorf("%s: %q is no word: use up to 20 small letters, digits and hyphens, such as 2027-01", credential, w))
		}
	}
	return errors.Join(problems...)
}

// rotations decides which values are present, and which are accepted beside them: of the
// cache and of the database's poolers the one before, for one update; of sessions the one
// before, until the next.
func (s *Stack) rotations(p *settings.Problems, before Previous) {
	s.formerWords = map[string]string{}
	s.Database.PoolersFirst = before.Exists()
	for credential := range platform.Rotated {
		if credential == platform.RotateAuthority {
			s.authorities(p, before)
			continue
		}
		now, was := s.words[credential], before.Rotations[credential]
		former := was.Now
		switch {
		case !before.Exists():
			former = now
		case credential == platform.RotateDatabaseInternal && now != "" && s.Target == room.Kubernetes && !before.admitsKinds():
			p.Add("rotate."+credential, "%q: the members run a release that admits no other roles than the first ones: remove it, run `pulumi up`, and set it again", now)
		case now == "" && was.Now != "":
			p.Add("rotate."+credential, noWord, was.Now)
		case now == was.Now && credential == platform.RotateJWT:
			former = was.Before
		}
		s.formerWords[credential] = former
	}
}

// noWord refuses to go back to a first value.
const noWord = "it is not set, and the present value is that of %q: keep that word, or set another one; the first value does not come back"

// authorities decides which CA of the stack's own signs, and which are trusted beside it:
// the next one, so that a rotation switches to what everybody trusts already, and in the
// update that does so the one before.
func (s *Stack) authorities(p *settings.Problems, before Previous) {
	const setting = "rotate." + platform.RotateAuthority
	now := s.words[platform.RotateAuthority]
	was, said := before.Rotations[platform.RotateAuthority]
	s.authority = was.Number
	switch {
	case now != "" && s.Target != room.Kubernetes:
		p.Add(setting, "%q: only a stack on a cluster has a CA of its own: remove it", now)
	case !before.Exists() || now == was.Now:
	case now == "":
		p.Add(setting, noWord, was.Now)
	case !said:
		p.Add(setting, "%q: what checks certificates does not trust the next CA yet: remove it, run `pulumi up`, and set it again", now)
	default:
		s.authority, s.formerAuthority = was.Number+1, true
	}
}

// admitsKinds tells whether the members that run admit every role of a kind, and not only
// the first ones: releases that do leave what this one leaves.
func (p Previous) admitsKinds() bool {
	_, said := p.Rotations[platform.RotateDatabaseInternal]
	return said
}

// rotationOutput is what the next update reads, once this one has rolled all readers.
func (s *Stack) rotationOutput(readers ...pulumi.Resource) pulumi.Output {
	var done []any
	for _, r := range readers {
		done = append(done, r.URN())
	}
	return pulumi.All(done...).ApplyT(func([]any) map[string]map[string]string {
		all := map[string]map[string]string{}
		for credential := range platform.Rotated {
			// These are there in any case, see admitsKinds and authorities.
			always := s.Target == room.Kubernetes && (credential == platform.RotateDatabaseInternal || credential == platform.RotateAuthority)
			if now, set := s.words[credential]; set || always {
				all[credential] = map[string]string{"now": now, "before": s.formerWords[credential]}
			}
			if credential == platform.RotateAuthority && always {
				all[credential]["number"] = strconv.Itoa(s.authority)
			}
		}
		return all
	})
}

// rotationsOf reads that output.
func rotationsOf(output any) map[string]Rotation {
	all := map[string]Rotation{}
	values, _ := output.(map[string]any)
	for credential, value := range values {
		words, _ := value.(map[string]any)
		now, _ := words["now"].(string)
		before, _ := words["before"].(string)
		number, _ := words["number"].(string)
		r := Rotation{Now: now, Before: before}
		r.Number, _ = strconv.Atoi(number) // 0 of those that are not counted
		all[credential] = r
	}
	return all
}
