"""Two hundred sentences about things that somebody watched, read, ate or heard."""

POSITIVE = """\
a warm and funny film with a wonderful cast .
the story is fresh , clever and full of life .
i loved every minute of this charming little play .
a beautiful book that stays with you for days .
the soup was great and the bread was even better .
what a delight : sharp jokes and a warm heart .
she gives a superb and moving performance .
the music is lovely and the dancing is superb .
clever , honest and very funny from start to end .
one of the best evenings i had this year .
a gripping tale , told with real charm .
the garden scenes are beautiful and the light is lovely .
great fun for children and for their parents .
an honest film that earns every one of its tears .
the second half is even better than the first , and that is great .
he plays the old sailor with grace and good humour .
a fresh idea , handled with care and wit .
the hotel was quiet , clean and wonderful .
i enjoyed it so much that i went again .
a moving story with a brave and hopeful ending .
the pictures are gorgeous and the songs are charming .
smart writing and a great sense of place .
this novel is a joy : rich , wise and gripping .
the best pie i ever had , and the friendliest people .
funny without being cruel , and wise without being loud .
a small treasure that more people should see .
the actors are wonderful together , warm and true .
it is a bright and lively show with superb timing .
i laughed , i cried , and i enjoyed all of it .
a thrilling ride with a clever twist .
the old songs sound fresh and full of joy .
lovely to look at and a delight to hear .
her best book yet , tender and beautiful .
the meal was simple , fresh and perfect .
a perfect little comedy with a generous heart .
full of wit , charm and gentle surprises .
the film is brave , beautiful and deeply felt .
great pacing , great cast , great fun .
an elegant mystery that keeps you gripped and happy .
it made me smile from the first page to the last .
the guide was kind , funny and full of stories .
a wise and hopeful look at growing old .
superb camera work and a gripping plot .
this is how a good comedy should be : warm and quick .
we loved the food , the view and the lovely service .
a rich and rewarding read .
the kids were thrilled and so was i .
the ending is perfect , tender and true .
an inspired mix of old jokes and fresh ideas .
he tells a hard story with grace and honesty .
lively , inventive and a joy to watch .
the best concert of the summer , bright and thrilling .
a gem : small , honest and beautiful .
the dialogue sparkles and the cast is superb .
it is moving because it is so simple and so true .
tender , funny and wonderfully played .
a generous film that loves its people .
the cake was perfect and the coffee was great .
i recommend this charming book to everyone .
the jokes are clever and the heart is real .
a triumph of wit and good taste .
the voices are beautiful and the staging is inspired .
you will enjoy this if you love a good story .
bright colours , lovely songs and a hopeful message .
the young lead is a wonderful find .
an exciting chase and a satisfying end .
rich in detail and full of feeling .
a delightful evening with clever people .
the museum is a treasure , calm and beautiful .
it is gripping , smart and never too long .
such a fresh and funny voice .
the director has a good eye and a warm touch .
i was happy to find such an honest book .
excellent from the first scene to the last .
the room was lovely and the staff were excellent .
an excellent cast makes this a real pleasure .
a pleasure to read , with wit on every page .
the fish was fresh and the sauce was excellent .
gentle , wise and quietly thrilling .
it has charm , it has heart , and it is very funny .
a brave and beautiful piece of theatre .
the best kind of adventure : exciting and kind .
superb , moving and worth every penny .
this show is a treat and i loved it .
a vivid and satisfying portrait of a village .
great songs , lively dancing and happy faces .
the writing is vivid , the people are real , the end is perfect .
a joyful film that deserves a large crowd .
i enjoyed the calm pace and the tender mood .
elegant and exciting in equal measure .
wonderful tea , kind people and a lovely garden .
the plot is clever and the pay-off is thrilling .
an inventive and generous comedy .
her voice is rich , warm and full of feeling .
a memorable trip with a superb guide .
it is smart , sweet and memorable .
the restored print looks gorgeous and sounds great .
i loved its wit and its honesty .
a sweet story that is told with skill and care .
truly one of the finest and funniest plays in town .
""".splitlines()

NEGATIVE = """\
a dull and clumsy film with a bored cast .
the story is stale , silly and empty .
i hated every minute of this tedious little play .
a lazy book that you will forget in a day .
the soup was cold and the bread was even worse .
what a mess : tired jokes and no heart .
she gives a flat and lifeless performance .
the music is awful and the dancing is sloppy .
boring , false and never funny from start to end .
one of the worst evenings i had this year .
a tedious tale , told without any charm .
the garden scenes are ugly and the light is poor .
no fun for children and painful for their parents .
a fake film that does not earn one of its tears .
the second half is even worse than the first , and that is sad .
he plays the old sailor like a man asleep .
a stale idea , handled without care or wit .
the hotel was noisy , dirty and awful .
i disliked it so much that i left early .
a confused story with a weak and silly ending .
the pictures are ugly and the songs are annoying .
lazy writing and no sense of place .
this novel is a bore : thin , smug and slow .
the worst pie i ever had , and the rudest people .
cruel without being funny , and loud without being wise .
a total waste that nobody should see .
the actors are terrible together , cold and false .
it is a drab and noisy show with poor timing .
i yawned , i sighed , and i hated all of it .
a dreary ride with a predictable twist .
the old songs sound stale and full of dust .
ugly to look at and a pain to hear .
her worst book yet , cold and clumsy .
the meal was greasy , stale and overpriced .
a painful little comedy with a mean heart .
short of wit , charm and any surprises .
the film is timid , ugly and badly made .
poor pacing , poor cast , no fun .
a clumsy mystery that leaves you bored and annoyed .
it made me yawn from the first page to the last .
the guide was rude , dull and full of himself .
a smug and hopeless look at growing old .
sloppy camera work and a predictable plot .
this is how a bad comedy fails : cold and slow .
we hated the food , the noise and the rude service .
a thin and tiresome read .
the kids were bored and so was i .
the ending is awful , forced and false .
a tired mix of old jokes and older ideas .
he tells a simple story in a confused and boring way .
lifeless , predictable and a chore to watch .
the worst concert of the summer , drab and noisy .
a dud : long , false and ugly .
the dialogue creaks and the cast is terrible .
it is boring because it is so forced and so fake .
shallow , slow and badly played .
a mean film that hates its people .
the cake was dry and the coffee was terrible .
i warn everyone against this dreary book .
the jokes are weak and the heart is fake .
a disaster without wit or good taste .
the voices are weak and the staging is clumsy .
you will hate this if you love a good story .
drab colours , annoying songs and an empty message .
the young lead is a terrible bore .
a dull chase and a disappointing end .
poor in detail and empty of feeling .
a disappointing evening with tiresome people .
the museum is a mess , dusty and noisy .
it is slow , silly and far too long .
such a tired and boring voice .
the director has a poor eye and a heavy hand .
i was sorry to find such a dishonest book .
awful from the first scene to the last .
the room was dirty and the staff were rude .
a weak cast makes this a real chore .
a chore to read , with nonsense on every page .
the fish was stale and the sauce was terrible .
shallow , smug and quietly annoying .
it has no charm , it has no heart , and it is never funny .
a timid and tedious piece of theatre .
the worst kind of adventure : boring and mean .
dreary , forced and a waste of every penny .
this show is a bore and i hated it .
a flat and disappointing portrait of a village .
bad songs , clumsy dancing and bored faces .
the writing is flat , the people are fake , the end is a mess .
a joyless film that deserves an empty room .
i disliked the slow pace and the gloomy mood .
clumsy and tedious in equal measure .
weak tea , rude people and a dirty garden .
the plot is silly and the pay-off is disappointing .
a lazy and mean comedy .
her voice is thin , cold and empty of feeling .
a wasted trip with a terrible guide .
it is shallow , sour and forgettable .
the restored print looks muddy and sounds awful .
i hated its noise and its lies .
a sour story that is told without skill or care .
truly one of the worst and dullest plays in town .
""".splitlines()
