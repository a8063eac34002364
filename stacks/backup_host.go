package stacks

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/backup"
	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// hostGenerations decides which volume a Docker host's database is on. One that has never
// been backed up is of the Alpine image, on a volume without a generation, and stays so.
func (s *Stack) hostGenerations(p *settings.Problems, before Previous) {
	b, db := &s.Backup, s.Database
	db.Archived = b.on() || before.Generation > 0
	if volume := before.Volumes[databaseName]; volume != "" && db.Archived {
		p.Add("databaseBackup", notArchived, b.Mode, volume)
	}
	for workload, volume := range before.Volumes {
		deleted := slices.Contains(b.Delete, volume)
		switch generation := hostGeneration(workload); {
		case generation == 0: // another's
		case generation == db.Generation && deleted:
			p.Add("databaseDeleteVolumes", "%q is in use: only volumes from before a restore can be let go", volume)
		case generation != db.Generation && !deleted:
			db.Kept[workload] = resource.Quantity{}
		}
	}
}

// notArchived refuses to leave a database behind.
const notArchived = "%q: the stack's database is in volume %s, of the Alpine image, which has no pgBackRest, and whose files the image that has it does not open: " +
	"leave it off here, and move to another stack that is backed up from the beginning (docs/single-host.md, \"Back up\")"

// hostGeneration tells of which generation a volume is on a Docker host, by its name
// without the stack's prefix; 0 for one that is none of the database's.
func hostGeneration(workload string) int {
	digits, ours := strings.CutPrefix(workload, strings.TrimSuffix(database.Set(databaseName, 0), "0"))
	number, err := strconv.Atoi(digits)
	if !ours || err != nil || workload != database.Set(databaseName, number) {
		return 0
	}
	return number
}

// arrangeHostBackup lets a Docker host's containers find what is backed up, and where to.
func (s *Stack) arrangeHostBackup() {
	b, a, db := &s.Backup, s.Backups, s.Database
	a.Archive.HostFolder = b.Own.Folder
	a.Image, a.AgentImage = db.Image, db.AgentImage
	if a.Image == nil {
		a.Image = pulumi.String(database.HAImage)
	}
	a.Database = db.Backed(databaseName)
	db.Archive = &a.Archive
	if b.fills {
		db.Restore = &database.Restore{Target: b.Restore}
		db.Attempt = strconv.FormatInt(attempt().Unix(), 10)
	}
}

// attempt is a variable for tests.
var attempt = time.Now

// hostBackupLinks are the connections of the backups on a Docker host: to a bucket, where
// there is one. To the server they go through its socket and its files.
func (s *Stack) hostBackupLinks(link func(from, to room.End, zone room.Zone, ports ...int)) {
	b := &s.Backup
	world := room.Outside(room.Anywhere)
	if b.Mode == BackupS3 {
		for _, reader := range []room.Identity{database.Server(databaseName), backup.Taker(backupName), backup.Prover(backupName)} {
			link(room.Of(reader), world, room.Exit, s.Backups.Archive.Port())
		}
	}
	if !b.fills || b.From.Folder != "" {
		return
	}
	if b.Mode == BackupS3 || b.another() {
		from := b.From.over(b.Own).repository(s.Backups.Archive.Repository, s.Name)
		link(room.Of(database.Filler(databaseName)), world, room.Exit, from.Port())
	}
}
